import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls'
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
  /** What TLS told, where the turn asks. */
  tls?: string[]
  /** By which another connection may go on. */
  session?: Buffer
}

/** Does what a client's turn says, over a raw socket. */
export async function playTurn(port: number, turn: ClientTurn): Promise<TurnResult> {
  const first = await playConnection(port, turn)
  return turn.tls?.resumes === true ? playConnection(port, turn, first.session) : first
}

function playConnection(port: number, turn: ClientTurn, resumed?: Buffer): Promise<TurnResult> {
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
    const socket =
      turn.tls === undefined ? connect(port, '127.0.0.1') : connectTls({ ...tlsOptions(port, turn.tls), session: resumed })
    const told: string[] = []
    let session: Buffer | undefined
    if (socket instanceof TLSSocket) {
      socket.on('session', (one: Buffer) => {
        session = one
      })
      socket.on('OCSPResponse', (response: Buffer | null) =>
        told.push(`stapled ${response === null || response.length === 0 ? 'nothing' : `${response.length} bytes`}`),
      )
      socket.on('secureConnect', () => {
        if (turn.tls?.tellsServer === true) told.push(serverOf(socket))
        if (turn.tls?.resumes === true) told.push(socket.isSessionReused() ? 'resumed' : 'a new session')
      })
    }
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
      resolve({ answers: messages, rest, end, tls: told, ...(session === undefined ? {} : { session }) })
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

function serverOf(socket: TLSSocket): string {
  const { subject, asn1Curve } = socket.getPeerCertificate()
  const key = socket.getEphemeralKeyInfo()
  const group = key !== null && 'name' in key ? key.name : ''
  return `shows ${String(subject?.CN)} (${asn1Curve ?? 'RSA'}) by ${socket.getCipher().standardName} ${group}`
}

function tlsOptions(port: number, turn: TlsTurn): ConnectionOptions {
  const { serverName, alpn, certificate, version, ciphers, curves, signatures, tellsServer } = turn
  const pair = certificate === undefined ? undefined : certificates()[certificate]
  return {
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    ...(pair === undefined ? {} : { cert: readFileSync(pair.cert), key: readFileSync(pair.key) }),
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(curves === undefined ? {} : { ecdhCurve: curves }),
    ...(signatures === undefined ? {} : { sigalgs: signatures }),
    ...(tellsServer === true ? { requestOCSP: true } : {}),
  }
}

/** The methods of the requests in a stream, as far as they are plain to see. */
function requestMethods(stream: string): string[] {
  return [...stream.matchAll(/(?:^|\r\n\r\n|\n)([A-Z]+) [^\r\n ]+ HTTP\/1\.[01]\r\n/g)].map((match) => match[1] ?? '')
}
