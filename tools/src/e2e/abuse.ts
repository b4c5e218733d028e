/**
 * Hostile HTTP/2 and HTTP/1.1 clients while others work: what they cost in memory and CPU, and what the others notice. Times
 * are told, not judged: they are the machine's too.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuMicroseconds, freePort, residentMiB, start, until, untilListening } from '../processes.ts'
import { http } from './parity/bootstrap.ts'
import { expect, type Scenario } from './scenario.ts'

const proxyMain = join(import.meta.dirname, '../../../apps/proxy/src/main.ts')
const attackMs = 4000
const maxGrowthMiB = 160

/** The scenario. */
export async function abuseScenario(scenario: Scenario): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-abuse-'))
  scenario.cleanup(() => rmSync(folder, { recursive: true, force: true }))
  const origin = createServer((request, response) => response.end(request.url === '/big' ? big : 'hello'))
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  scenario.cleanup(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const [port, admin] = [await freePort(), await freePort()]
  const file = join(folder, 'proxy.json')
  const ports = { http: port, admin, a: (origin.address() as AddressInfo).port }
  writeFileSync(file, JSON.stringify(http(ports, { manager: { access_log: [] } })))
  const proxy = start([process.execPath, proxyMain, '-c', file, '--concurrency', '1', '-l', 'error'])
  scenario.cleanup(() => proxy.stop())
  await untilListening(port, proxy, '127.0.0.1', 90_000)
  await work(port, attackMs)
  const quiet = await work(port, attackMs)
  const before = residentMiB(proxy.pid)
  scenario.section(`others alone: ${quiet.done} requests, p99 ${quiet.p99Ms.toFixed(0)} ms`)
  for (const { name, mustClose } of attacks) {
    await scenario.attempt(name, async () => {
      const attackers = start(['nice', process.execPath, join(import.meta.dirname, 'abuse/attackers.ts'), String(port), name])
      await until(() => attackers.output().includes('closed'), 'the attack to begin', attackers, 60_000)
      const cpuBefore = cpuMicroseconds(proxy.pid)
      const seen = await work(port, attackMs)
      const cpu = (cpuMicroseconds(proxy.pid) - cpuBefore) / (attackMs * 1000)
      const grown = Math.round(residentMiB(proxy.pid) - before)
      const closed = (): number => Number(/closed (\d+)\s*$/.exec(attackers.output())?.[1] ?? 0)
      if (mustClose) await until(() => closed() > 0, 'an attacker to be turned away', attackers, 60_000)
      const turnedAway = closed()
      await attackers.stop()
      expect(proxy.child.exitCode === null, `the proxy ended: ${proxy.output()}`)
      expect(seen.errors === 0 && seen.done > 0, `the others got ${seen.errors} errors and ${seen.done} answers`)
      expect(grown < maxGrowthMiB, `the proxy grew by ${grown} MiB`)
      return (
        `others ${seen.done} requests, p99 ${seen.p99Ms.toFixed(0)} ms (${(seen.p99Ms / quiet.p99Ms).toFixed(1)} ×), ` +
        `${cpu.toFixed(2)} cores, ${grown} MiB more, ${turnedAway} connections turned away`
      )
    })
  }
  const after = await work(port, attackMs)
  scenario.check('and then all is as before', after.errors === 0 && after.done > 0, `${after.done} requests`)
}

/** What abuse/attackers.ts does; `mustClose`: it breaks a limit, and its connections have to be closed. */
const attacks = [
  { name: 'rapid reset', mustClose: true },
  { name: 'a CONTINUATION flood', mustClose: true },
  { name: 'an HPACK bomb', mustClose: true },
  { name: 'windows of nothing before large answers', mustClose: false },
  { name: 'slow heads of HTTP/1.1', mustClose: false },
] as const

const big = Buffer.alloc(1024 * 1024, 'x')

/** What others do meanwhile: a request each on eight connections. */
async function work(port: number, ms: number): Promise<{ done: number; errors: number; p99Ms: number }> {
  const times: number[] = []
  let errors = 0
  const end = performance.now() + ms
  const one = (session: http2.ClientHttp2Session): Promise<void> =>
    new Promise((resolve) => {
      const started = performance.now()
      const stream = session.request({ ':path': '/', ':authority': 'a.test' })
      stream.on('error', () => errors++)
      stream.on('response', (headers) => {
        if (headers[':status'] === 200) times.push(performance.now() - started)
        else errors++
      })
      stream.on('close', resolve)
      stream.resume().end()
    })
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const session = http2.connect(`http://127.0.0.1:${port}`)
      session.on('error', () => errors++)
      while (performance.now() < end) await one(session)
      session.destroy()
    }),
  )
  times.sort((a, b) => a - b)
  return { done: times.length, errors, p99Ms: times[Math.floor(times.length * 0.99)] ?? Number.NaN }
}
