import type { ClientHttp2Session } from 'node:http2'
import type { Probe, ProbeResult, ProbeTarget } from './probe.ts'
import { openSocket } from './tcp-probe.ts'

/** One question over a session, and what it comes to: `end` is told once. */
type Question = (session: ClientHttp2Session, target: ProbeTarget, timeoutMs: number, end: (result: ProbeResult) => void) => void

/** A check over HTTP/2. `reuse`: its connection stays for the next one. */
export function http2Check(reuse: boolean, ask: Question): Probe {
  let kept: ClientHttp2Session | null = null
  const drop = (): void => {
    kept?.destroy()
    kept = null
  }
  return {
    check: (target, timeoutMs) =>
      new Promise((resolve) => {
        const session = kept ?? open(target)
        if (session !== kept) {
          kept = session
          session.on('error', () => {})
          session.on('close', () => {
            if (kept === session) kept = null
          })
        }
        const end = (result: ProbeResult): void => {
          clearTimeout(timer)
          session.off('error', onError)
          session.off('close', onError)
          if (!reuse || result === 'network' || result === 'timeout') drop()
          resolve(result)
        }
        const onError = (): void => end('network')
        const timer = setTimeout(() => end('timeout'), timeoutMs)
        session.on('error', onError)
        session.on('close', onError)
        ask(session, target, timeoutMs, end)
      }),
    close: drop,
  }
}

function open(target: ProbeTarget): ClientHttp2Session {
  // Loaded on first use: few proxies check by HTTP/2.
  const { connect } = process.getBuiltinModule('node:http2')
  const { tls } = target
  const secured = tls === null ? target : { ...target, tls: { ALPNProtocols: ['h2'], ...tls } }
  return connect(`${tls === null ? 'http' : 'https'}://endpoint`, { createConnection: () => openSocket(secured) })
}
