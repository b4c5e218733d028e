import http2 from 'node:http2'
import type { ClientTurn, Http2Request } from './case.ts'
import type { WireMessage } from './message-reader.ts'
import type { TurnResult } from './wire.ts'

/** Does what a client's turn of HTTP/2 requests says, one after the other on one connection, with Node's own HTTP/2. */
export async function playHttp2Turn(port: number, turn: ClientTurn): Promise<TurnResult> {
  let end: TurnResult['end'] = 'left'
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { enablePush: false } })
  session.on('error', () => {
    end = 'refused'
  })
  session.on('goaway', (code: number) => {
    if (code !== 0) end = 'reset'
  })
  const settled = new Promise<void>((resolve) => session.once('remoteSettings', () => resolve()).once('close', () => resolve()))
  await settled
  const answers: WireMessage[] = []
  for (const one of turn.http2 ?? []) {
    if (session.closed || session.destroyed) {
      if (end === 'left') end = 'closed'
      break
    }
    answers.push(await play(session, one, turn.patienceMs ?? 8000))
  }
  session.destroy()
  return { answers, rest: '', end }
}

function play(session: http2.ClientHttp2Session, one: Http2Request, patienceMs: number): Promise<WireMessage> {
  const message: WireMessage = { start: 'HTTP/2', headers: [], body: '', trailers: [], complete: false }
  return new Promise((resolve) => {
    // A plain CONNECT has neither path nor scheme.
    const tunnel = one.headers?.[':method'] === 'CONNECT' && one.headers[':protocol'] === undefined
    const head = { ':method': 'GET', ...(tunnel ? {} : { ':path': '/' }), ':authority': 'a.test', ...one.headers }
    const stream = session.request(head, {
      endStream: one.body === undefined && one.trailers === undefined,
      waitForTrailers: one.trailers !== undefined,
    })
    const patience = setTimeout(() => {
      message.start += ' (no end)'
      stream.close(http2.constants.NGHTTP2_CANCEL)
    }, patienceMs)
    const lines = (headers: http2.IncomingHttpHeaders): [string, string][] =>
      Object.entries(headers)
        .filter(([name]) => name !== ':status')
        .flatMap(([name, value]) => [value ?? ''].flat().map((each): [string, string] => [name, String(each)]))
    stream.on('wantTrailers', () => stream.sendTrailers(one.trailers ?? {}))
    stream.on('headers', (headers) => {
      message.start += ` ${headers[':status']},`
    })
    stream.on('response', (headers) => {
      message.start += ` ${headers[':status']}`
      message.headers = lines(headers)
    })
    stream.on('trailers', (headers) => {
      message.trailers = lines(headers).map(([name, value]) => `${name}: ${value}`)
    })
    stream.setEncoding('latin1')
    stream.on('data', (piece: string) => {
      message.body += piece
    })
    stream.on('end', () => {
      message.complete = true
    })
    stream.on('error', () => {})
    stream.on('close', () => {
      clearTimeout(patience)
      if (stream.rstCode !== 0) message.start += ` reset ${stream.rstCode}`
      resolve(message)
    })
    const pieces = [one.body ?? []].flat()
    const write = async (): Promise<void> => {
      for (const [i, piece] of pieces.entries()) {
        if (typeof piece === 'number') await new Promise((again) => setTimeout(again, piece))
        else if (stream.destroyed) return
        // The end comes with the last bytes: behind them it might come after the answer.
        else if (i === pieces.length - 1 && one.leaveOpen !== true) stream.end(piece, 'latin1')
        else stream.write(piece, 'latin1')
      }
      if (pieces.length === 0 && one.leaveOpen !== true && !stream.destroyed) stream.end()
    }
    if (one.body !== undefined || one.trailers !== undefined) void write()
    if (one.leaveAfterMs !== undefined) setTimeout(() => session.destroy(), one.leaveAfterMs)
    if (one.cancelAfterMs !== undefined) setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), one.cancelAfterMs)
  })
}
