import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { parentPort, workerData } from 'node:worker_threads'

/** What the thread is told to do. */
export interface ClientWork {
  port: number
  connections: number
  /** Requests on one connection, after which it is closed and made anew; without, as many as the proxy allows. */
  perConnection: number
  /** Speaks TLS and takes only certificates of this authority. */
  authority?: string
  /** Milliseconds between requests of one connection. */
  pauseMs: number
}

/** What it tells, from time to time and at the end. */
export interface ClientCount {
  requests: number
  failures: Record<string, number>
}

const work: ClientWork = workerData
const count: ClientCount = { requests: 0, failures: {} }
let ended = false

const request = Buffer.from('GET /churn HTTP/1.1\r\nhost: churn.test\r\n\r\n')

parentPort?.on('message', () => {
  ended = true
})
const reports = setInterval(() => parentPort?.postMessage(count), 100)
await Promise.all(Array.from({ length: work.connections }, () => drive()))
clearInterval(reports)
parentPort?.postMessage(count)
parentPort?.close()

function fail(why: string): void {
  count.failures[why] = (count.failures[why] ?? 0) + 1
}

/** One connection after another until the end. */
async function drive(): Promise<void> {
  while (!ended) {
    const ok = await onConnection()
    // A proxy that takes no connections must not be asked in a busy loop.
    if (!ok) await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function open(): Socket {
  const { port, authority } = work
  if (authority === undefined) return connect({ port, host: '127.0.0.1', noDelay: true })
  return connectTls({ port, host: '127.0.0.1', ca: authority, checkServerIdentity: () => undefined })
}

/** Requests on one connection until either side ends it; false when something failed. */
function onConnection(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open()
    let text = ''
    let left = work.perConnection
    let waiting = false
    let over = false
    const finish = (why?: string): void => {
      if (over) return
      over = true
      if (why !== undefined) fail(why)
      socket.destroy()
      resolve(why === undefined)
    }
    const patience = (): void => finish('no answer within 10 s')
    const send = (): void => {
      if (over) return
      if (ended || left-- <= 0) {
        finish()
        return
      }
      waiting = true
      text = ''
      socket.write(request)
    }
    socket.setTimeout(10_000, patience)
    socket.on(work.authority === undefined ? 'connect' : 'secureConnect', send)
    socket.on('data', (bytes: Buffer) => {
      text += bytes.latin1Slice()
      const head = text.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
      if (text.length < head + 4 + length) return
      if (!waiting) return finish('an answer nobody asked for')
      waiting = false
      count.requests++
      if (!text.startsWith('HTTP/1.1 200 ')) fail(text.slice(0, text.indexOf('\r\n')) + text.slice(head + 4).slice(0, 120))
      if (/^connection: close/im.test(text)) return finish()
      if (work.pauseMs > 0) setTimeout(send, work.pauseMs)
      else send()
    })
    // Between requests the proxy may end a connection; with one under way that is a lost request.
    socket.on('end', () => finish(waiting ? 'closed with a request under way' : undefined))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish(`${error.code ?? error.message}${waiting ? ' with a request under way' : ''}`),
    )
  })
}
