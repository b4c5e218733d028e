import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { ClientTurn, TlsTurn } from './case.ts'
import { certificates } from './certificates.ts'
import { cutMessages, type WireMessage } from './message-reader.ts'

/** What came back on one connection. */
export interface TurnResult {
  answers: WireMessage[]
  /** Bytes that make no whole message. */
  rest: string
  /** How it ended: by us, by the other side, by RST, or not at all in time. */
  end: 'left' | 'closed' | 'reset' | 'timeout' | 'refused'
}

/** Does what a client's turn says, over a raw socket. */
export function playTurn(port: number, turn: ClientTurn): Promise<TurnResult> {
  const methods = requestMethods(turn.send.filter((piece) => typeof piece === 'string').join(''))
  const wanted = turn.answers ?? 1
  let text = ''
  let closed = false
  const finals = (): number =>
    cut().messages.filter(({ start, complete }) => complete && !/^HTTP\/1\.1 1(?!01)/.test(start)).length
  const cut = (): { messages: WireMessage[]; rest: string } => {
    let final = 0
    return cutMessages(
      text,
      (start) => {
        const status = Number(start.split(' ')[1])
        if (status < 200 && status !== 101) return true
        const method = methods[final++]
        return method === 'HEAD' || status === 204 || status === 304
      },
      true,
      closed,
    )
  }
  return new Promise((resolve) => {
    const socket = turn.tls === undefined ? connect(port, '127.0.0.1') : connectTls(tlsOptions(port, turn.tls))
    let over = false
    const patience = setTimeout(() => finish('timeout'), turn.patienceMs ?? 8000)
    const finish = (end: TurnResult['end']): void => {
      if (over) return
      over = true
      clearTimeout(patience)
      closed = end === 'closed' || end === 'reset'
      const { messages, rest } = cut()
      if (turn.reset === true) socket.resetAndDestroy()
      else socket.destroy()
      resolve({ answers: messages, rest, end })
    }
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1')
      if (turn.untilClosed !== true && finals() >= wanted) finish('left')
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Whom TLS refuses Envoy tells so by an alert, and ours by the end alone.
      if (turn.tls !== undefined) finish('closed')
      else finish(error.code === 'ECONNREFUSED' ? 'refused' : 'reset')
    })
    socket.on('end', () => finish('closed'))
    if (turn.readAfterMs !== undefined) {
      socket.pause()
      setTimeout(() => socket.resume(), turn.readAfterMs)
    }
    const write = async (): Promise<void> => {
      for (const piece of turn.send) {
        if (over) return
        if (typeof piece === 'number') await new Promise((again) => setTimeout(again, piece))
        else socket.write(piece, 'latin1')
      }
      if (turn.halfClose === true) socket.end()
      if (turn.leaveAfterMs !== undefined) setTimeout(() => finish('left'), turn.leaveAfterMs)
    }
    socket.on(turn.tls === undefined ? 'connect' : 'secureConnect', () => void write())
  })
}

function tlsOptions(port: number, { serverName, alpn, certificate, version }: TlsTurn): ConnectionOptions {
  const pair = certificate === undefined ? undefined : certificates()[certificate]
  return {
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    ...(pair === undefined ? {} : { cert: readFileSync(pair.cert), key: readFileSync(pair.key) }),
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
  }
}

/** The methods of the requests in a stream, as far as they are plain to see. */
function requestMethods(stream: string): string[] {
  return [...stream.matchAll(/(?:^|\r\n\r\n|\n)([A-Z]+) [^\r\n ]+ HTTP\/1\.[01]\r\n/g)].map((match) => match[1] ?? '')
}
