/**
 * HTTP/1.1 through a proxy on one core: nginx and haproxy with what they do for a sidecar's work, real Envoy and ours
 * from the same YAML with rbac, fault, header edits, access log and circuit breakers on. The proxies run on core 0, the
 * load (wrk) and the upstreams on core 1; rounds go through the proxies in turn, and medians are told.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findCommand, installEnvoy } from '../peers.ts'
import { cpuMicroseconds, freePort, type Running, residentMiB, start, untilListening } from '../processes.ts'
import { envoyBootstrap, haproxyConfig, nginxProxyConfig, nginxUpstreamConfig, type Ports } from './http1-configs.ts'
import type { BenchOptions } from './main.ts'
import { formatTable, median } from './table.ts'

const run = promisify(execFile)
const connections = 64
const root = join(import.meta.dirname, '../../..')

interface Sample {
  cpuMicros: number
  perSecond: number
  p50Ms: number
  p99Ms: number
  errors: number
}

interface Contender {
  name: string
  port: number
  process: Running
  samples: Sample[]
}

/** Runs the benchmark and prints a table and one JSON line. */
export async function benchHttp1({ rounds, seconds, only }: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-bench-'))
  const started: Running[] = []
  try {
    const contenders = await startAll(folder, started, only)
    for (const contender of contenders) await load(contender, 1)
    for (let round = 0; round < rounds; round++) {
      for (const contender of contenders) contender.samples.push(await load(contender, seconds))
    }
    report(contenders, rounds, seconds)
  } finally {
    for (const process of started) await process.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function startAll(folder: string, started: Running[], only: string[]): Promise<Contender[]> {
  const upstream: [number, number] = [await freePort(), await freePort()]
  const nginx = needed('nginx')
  await writeFile(join(folder, 'upstream.conf'), nginxUpstreamConfig(upstream, folder))
  const origin = start(['taskset', '-c', '1', nginx, '-c', join(folder, 'upstream.conf'), '-p', folder])
  started.push(origin)
  await untilListening(upstream[0], origin)

  const contenders: Contender[] = []
  const add = async (name: string, command: (ports: Ports) => Promise<string[] | undefined>): Promise<void> => {
    if (only.length > 0 && !only.includes(name)) return
    const ports: Ports = { listen: await freePort(), admin: await freePort(), upstream, folder }
    const words = await command(ports)
    if (words === undefined) return console.log(`${name}: not present on this machine, left out`)
    const process = start(['taskset', '-c', '0', ...words])
    started.push(process)
    await untilListening(ports.listen, process)
    contenders.push({ name, port: ports.listen, process, samples: [] })
  }
  await add('nginx', async (ports) => {
    await writeFile(join(folder, 'nginx.conf'), nginxProxyConfig(ports))
    return [nginx, '-c', join(folder, 'nginx.conf'), '-p', folder]
  })
  await add('haproxy', async (ports) => {
    const haproxy = findCommand('haproxy')
    await writeFile(join(folder, 'haproxy.cfg'), haproxyConfig(ports))
    return haproxy === undefined ? undefined : [haproxy, '-q', '-f', join(folder, 'haproxy.cfg')]
  })
  await add('envoy', async (ports) => {
    const envoy = installEnvoy()
    await writeFile(join(folder, 'envoy.yaml'), envoyBootstrap(ports, 'envoy'))
    return envoy === undefined
      ? undefined
      : [envoy, '-c', join(folder, 'envoy.yaml'), '--disable-hot-restart', '--concurrency', '1', '-l', 'error']
  })
  await add('weft', async (ports) => {
    await writeFile(join(folder, 'weft.yaml'), envoyBootstrap(ports, 'weft'))
    return [
      process.execPath,
      join(root, 'apps/proxy/src/main.ts'),
      '-c',
      join(folder, 'weft.yaml'),
      '--concurrency',
      '1',
      '-l',
      'error',
    ]
  })
  return contenders
}

function needed(command: string): string {
  const path = findCommand(command)
  if (path === undefined)
    throw new Error(`the benchmark needs ${command}: apt-get install ${command === 'nginx' ? 'nginx-light' : command}`)
  return path
}

async function load(contender: Contender, seconds: number): Promise<Sample> {
  const wrk = needed('wrk')
  const before = cpuMicroseconds(contender.process.pid)
  const { stdout } = await run('taskset', [
    ...['-c', '1', wrk, '-t1', `-c${connections}`, `-d${seconds}s`, '--latency'],
    ...['-H', 'user-agent: bench', '-H', 'x-team: blue', `http://127.0.0.1:${contender.port}/api/items/42`],
  ])
  const cpu = cpuMicroseconds(contender.process.pid) - before
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  const errors = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0) + socketErrors(stdout)
  return {
    cpuMicros: cpu / requests,
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Ms: milliseconds(/50%\s+(\S+)/.exec(stdout)?.[1]),
    p99Ms: milliseconds(/99%\s+(\S+)/.exec(stdout)?.[1]),
    errors,
  }
}

function socketErrors(stdout: string): number {
  const found = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)
  return found === null ? 0 : found.slice(1).reduce((sum, value) => sum + Number(value), 0)
}

function milliseconds(text: string | undefined): number {
  const match = /^([\d.]+)(us|ms|s)$/.exec(text ?? '')
  const factor = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? ''] ?? Number.NaN
  return Number(match?.[1]) * factor
}

function report(contenders: Contender[], rounds: number, seconds: number): void {
  const nginx = contenders.find((contender) => contender.name === 'nginx')
  const base = nginx === undefined ? Number.NaN : median(nginx.samples.map((sample) => sample.cpuMicros))
  const results = contenders.map(({ name, process, samples }) => {
    const middle = (pick: (sample: Sample) => number): number => median(samples.map(pick))
    const cpuMicros = middle((sample) => sample.cpuMicros)
    return {
      name,
      cpuMicros: round(cpuMicros, 1),
      timesNginx: round(cpuMicros / base, 2),
      perSecond: Math.round(middle((sample) => sample.perSecond)),
      p50Ms: round(
        middle((sample) => sample.p50Ms),
        2,
      ),
      p99Ms: round(
        middle((sample) => sample.p99Ms),
        2,
      ),
      rssMiB: Math.round(residentMiB(process.pid)),
      errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
    }
  })
  console.log(`HTTP/1.1, ${connections} connections, 1 KiB answers, one core; medians of ${rounds} rounds of ${seconds} s`)
  console.log(
    formatTable(
      ['proxy', 'CPU µs/request', '× nginx', 'requests/s', 'p50 ms', 'p99 ms', 'RSS MiB', 'errors'],
      results.map((r) => [r.name, ...[r.cpuMicros, r.timesNginx, r.perSecond, r.p50Ms, r.p99Ms, r.rssMiB, r.errors].map(String)]),
    ),
  )
  console.log(JSON.stringify({ bench: 'http1', connections, rounds, seconds, results }))
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
