/**
 * HTTP/1.1 through a proxy on one core: nginx and haproxy with what they do for a sidecar's work, real Envoy and ours
 * from the same YAML with rbac, fault, header edits, access log and circuit breakers on. The proxies run on core 0, the
 * load (wrk) and the upstreams on core 1; rounds go through the proxies in turn, and medians are told.
 */
import { cpus } from 'node:os'
import { installEnvoy } from '../peers.ts'
import { cpuMicroseconds, freePort, residentMiB, start, untilListening } from '../processes.ts'
import { type BenchOptions, chosen } from './bench-options.ts'
import { startHttpPeers, startOrigins } from './http-peers.ts'
import { envoyBootstrap, type Ports } from './http1-configs.ts'
import { Bench, measure, wrk } from './proxy-bench.ts'
import { weftProxyCommand } from './proxy-command.ts'
import { formatTable, median } from './table.ts'

const requestHeaders = ['user-agent: bench', 'x-team: blue']
const flags = ['--concurrency', '1', '-l', 'error']

const load = (port: number, connections: number, seconds: number) =>
  wrk(`http://127.0.0.1:${port}/api/items/42`, connections, seconds, requestHeaders)

/** One way to load the peers. */
function variant(name: string, connections: number, bodyBytes: number): (options: BenchOptions) => Promise<void> {
  const size = bodyBytes >= 1024 * 1024 ? `${bodyBytes / 1024 / 1024} MiB` : `${bodyBytes / 1024} KiB`
  const title = `HTTP/1.1, ${connections} connection${connections === 1 ? '' : 's'}, ${size} answers, one core`
  return (options) =>
    Bench.run(async (bench) => {
      const peers = await startHttpPeers(bench, { only: options.only, bodyBytes })
      const contenders = peers.map((peer) => ({ ...peer, load: (seconds: number) => load(peer.port, connections, seconds) }))
      await measure(name, title, contenders, options, 'request', 'nginx')
    })
}

export const benchHttp1 = variant('http1', 64, 1024)
/** What a proxy adds to a request's time. */
export const benchHttp1Latency = variant('http1-latency', 1, 1024)
export const benchHttp1Many = variant('http1-512', 512, 1024)
export const benchHttp1Bodies = variant('http1-bodies', 16, 1024 * 1024)

async function portsOf(bench: Bench, upstream: [number, number]): Promise<Ports> {
  return { listen: await freePort(), admin: await freePort(), upstream, folder: bench.folder }
}

/** What one more worker brings: needs a core for it besides those of the load. */
export async function benchHttp1Workers({ rounds, seconds }: BenchOptions): Promise<void> {
  const cores = cpus().length
  if (cores < 4) {
    console.log(`http1-workers needs 4 cores (two for workers, one for the load, one for the origins); here are ${cores}`)
    return
  }
  await Bench.run(async (bench) => {
    const upstream = await startOrigins(bench)
    const rates: { workers: number; port: number; perSecond: number[]; stop(): Promise<void> }[] = []
    for (const workers of [1, 2]) {
      const ports = await portsOf(bench, upstream)
      const file = await bench.file(`${workers}.yaml`, envoyBootstrap(ports, 'weft'))
      const command = [...weftProxyCommand(), '-c', file, '--concurrency', String(workers), '-l', 'error']
      const process = start(['taskset', '-c', workers === 1 ? '2' : '2,3', ...command])
      await untilListening(ports.listen, process)
      rates.push({ workers, port: ports.listen, perSecond: [], stop: () => process.stop() })
    }
    for (let round = 0; round < rounds; round++)
      for (const { port, perSecond } of rates) perSecond.push((await load(port, 128, seconds)).requests / seconds)
    for (const { stop } of rates) await stop()
    const [one = 0, two = 0] = rates.map(({ perSecond }) => median(perSecond))
    const rows = rates.map(({ workers, perSecond }) => [String(workers), median(perSecond).toFixed(0)])
    console.log(formatTable(['workers', 'requests/s'], rows))
    console.log(JSON.stringify({ bench: 'http1-workers', one, two, times: Number((two / one).toFixed(2)) }))
  })
}

/** A request's cost when there are 10, 1,000 and 10,000 routes and clusters, of ours and of Envoy. */
export async function benchHttp1Routes({ rounds, seconds, only }: BenchOptions): Promise<void> {
  const results: Record<string, number | string>[] = []
  const names = chosen(['envoy', 'weft'], only)
  for (const routes of [10, 1_000, 10_000])
    await Bench.run(async (bench) => {
      const upstream = await startOrigins(bench)
      for (const name of names) {
        const envoy = name === 'envoy' ? installEnvoy() : undefined
        if (name === 'envoy' && envoy === undefined) {
          if (routes === 10) console.log('envoy: not present on this machine, left out')
          continue
        }
        const ports = await portsOf(bench, upstream)
        const file = await bench.file(`${name}.yaml`, envoyBootstrap(ports, name, routes))
        const command = envoy === undefined ? weftProxyCommand() : [envoy, '--disable-hot-restart']
        const process = await bench.start(0, [...command, '-c', file, ...flags], ports.listen)
        await load(ports.listen, 64, 3)
        const cpu: number[] = []
        let errors = 0
        for (let round = 0; round < rounds; round++) {
          const before = cpuMicroseconds(process.pid)
          const done = await load(ports.listen, 64, seconds)
          cpu.push((cpuMicroseconds(process.pid) - before) / done.requests)
          errors += done.errors
        }
        const rssMiB = Math.round(residentMiB(process.pid))
        results.push({ routes, proxy: name, cpuMicros: Number(median(cpu).toFixed(1)), rssMiB, errors })
        await process.stop()
      }
    })
  console.log('the last of so many prefix routes, each to a cluster of its own; 64 connections, one core')
  const columns = ['routes', 'proxy', 'cpuMicros', 'rssMiB', 'errors'] as const
  const rows = results.map((row) => columns.map((column) => String(row[column])))
  console.log(formatTable(['routes', 'proxy', 'CPU µs/request', 'RSS MiB', 'errors'], rows))
  console.log(JSON.stringify({ bench: 'http1-routes', rounds, seconds, results }))
}

/** Resident memory while requests go through: ten million unless `--requests` says otherwise. */
export async function benchHttp1Memory({ requests }: BenchOptions): Promise<void> {
  await Bench.run(async (bench) => {
    const ports = await portsOf(bench, await startOrigins(bench))
    const file = await bench.file('weft.yaml', envoyBootstrap(ports, 'weft', 0, '/dev/null'))
    const process = await bench.start(0, [...weftProxyCommand(), '-c', file, ...flags], ports.listen)
    const samples: { millions: number; rssMiB: number }[] = []
    let done = 0
    let errors = 0
    while (done < requests) {
      const result = await load(ports.listen, 64, 20)
      if (result.requests === 0) throw new Error(`no request came through:\n${process.output()}`)
      done += result.requests
      errors += result.errors
      samples.push({ millions: Number((done / 1e6).toFixed(2)), rssMiB: Math.round(residentMiB(process.pid)) })
      console.error(`${(done / 1e6).toFixed(2)} million requests: ${samples.at(-1)?.rssMiB} MiB`)
    }
    const rows = samples.map(({ millions, rssMiB }) => [String(millions), String(rssMiB)])
    console.log(formatTable(['million requests', 'RSS MiB'], rows))
    console.log(JSON.stringify({ bench: 'http1-memory', requests: done, errors, samples }))
  })
}
