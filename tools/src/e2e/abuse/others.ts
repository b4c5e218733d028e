/**
 * What others do meanwhile, in a process of its own: requests at a steady rate over a few connections, each sent when its time
 * comes whether or not those before are answered. As many go to their server past the proxy: what those see is the machine's.
 * Usage: others.ts PORT SERVER-PORT, with a channel to its parent: asked for so many milliseconds, it tells what came of them.
 */
import http from 'node:http'
import http2 from 'node:http2'

/** Of the requests of one window of time. */
export interface OthersSeen {
  errors: number
  p99Ms: number
  /** The same of requests that go past the proxy. */
  pastP99Ms: number
}

const connections = 8
const everyMs = 2
const [port = 0, serverPort = 0] = process.argv.slice(2).map(Number)
const sessions = Array.from({ length: connections }, () => http2.connect(`http://127.0.0.1:${port}`))
/** Errors of a connection: the requests on it say so too. */
for (const session of sessions) session.on('error', () => {})

/** Milliseconds until the answer's end since `dueMs`; null where there was no 200. */
function request(session: http2.ClientHttp2Session, dueMs: number): Promise<number | null> {
  return new Promise((resolve) => {
    const stream = session.request({ ':path': '/others', ':authority': 'a.test' })
    let status = 0
    stream.on('error', () => {})
    stream.on('response', (headers) => {
      status = Number(headers[':status'])
    })
    stream.on('close', () => resolve(status === 200 ? performance.now() - dueMs : null))
    stream.resume().end()
  })
}

const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
/** The same past the proxy. */
function requestPast(dueMs: number): Promise<number | null> {
  return new Promise((resolve) => {
    const sent = http.get({ host: '127.0.0.1', port: serverPort, path: '/others', agent }, (response) => {
      response.resume().on('close', () => resolve(response.complete ? performance.now() - dueMs : null))
    })
    sent.on('error', () => resolve(null))
  })
}

async function measure(ms: number): Promise<OthersSeen> {
  const started = performance.now()
  const waiting: Promise<number | null>[] = []
  const past: Promise<number | null>[] = []
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now()
      // A late timer does not make the load lighter: what was due meanwhile is sent now, and counts from when it was due.
      for (let due = started + waiting.length * everyMs; due <= now && due < started + ms; due += everyMs) {
        waiting.push(request(sessions[waiting.length % connections]!, now))
        past.push(requestPast(now))
      }
      if (now < started + ms) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  const ends = await Promise.all(waiting)
  const errors = ends.filter((end) => end === null).length
  return { errors, p99Ms: p99(ends), pastP99Ms: p99(await Promise.all(past)) }
}

function p99(ends: (number | null)[]): number {
  const times = ends.filter((time) => time !== null).sort((a, b) => a - b)
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN
}

process.on('message', (ms) => {
  measure(Number(ms)).then((seen) => process.send?.(seen))
})
process.on('disconnect', () => process.exit())
