/** What benchmarks of proxies have in common: peers in one run, each on core 0 in its turn, loads and servers on core 1. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { WeftError } from '@weft/service/errors'
import { findCommand, installEnvoy } from '../peers.ts'
import { cpuMicroseconds, type Running, residentMiB, start, untilListening } from '../processes.ts'
import type { BenchOptions } from './bench-options.ts'
import { weftProxyCommand } from './proxy-command.ts'
import { formatTable, median } from './table.ts'

const run = promisify(execFile)

const patienceMs = 120_000
/** Of requests; what takes longer each (a handshake) or is larger (a MiB) is told by its benchmark. */
const warmRequests = 20_000

/** What one round of load did. */
export interface Load {
  requests: number
  seconds: number
  errors: number
  /** NaN where the load tool does not tell. */
  p99Ms: number
  bytes?: number
}

/** A proxy, or several that a request passes, under measurement. */
export interface Contender {
  readonly name: string
  readonly processes: readonly Running[]
  load(seconds: number): Promise<Load>
}

/** Where a benchmark keeps its files and processes. */
export class Bench {
  readonly folder: string
  private readonly started: Running[] = []

  private constructor(folder: string) {
    this.folder = folder
  }

  /** Runs `body` and ends what it started. */
  static async run(body: (bench: Bench) => Promise<void>): Promise<void> {
    const bench = new Bench(await mkdtemp(join(tmpdir(), 'weft-bench-')))
    try {
      await body(bench)
    } finally {
      for (const process of bench.started) await process.stop()
      await rm(bench.folder, { recursive: true, force: true })
    }
  }

  /** Starts a command on a core and waits for its port. */
  async start(core: 0 | 1, command: readonly string[], port: number): Promise<Running> {
    const process = start(['taskset', '-c', String(core), ...command])
    this.started.push(process)
    await untilListening(port, process, '127.0.0.1', patienceMs)
    return process
  }

  async file(name: string, content: string): Promise<string> {
    const path = join(this.folder, name)
    await writeFile(path, content)
    return path
  }

  /** Starts a proxy from an Envoy bootstrap on core 0; undefined when real Envoy can't be had here. */
  async proxy(kind: 'envoy' | 'weft', name: string, bootstrap: object, port: number): Promise<Running | undefined> {
    const file = await this.file(`${name}.json`, JSON.stringify(bootstrap))
    const flags = ['-c', file, '--concurrency', '1', '-l', 'error']
    if (kind === 'weft') return this.start(0, [...weftProxyCommand(), ...flags], port)
    const envoy = installEnvoy()
    return envoy === undefined ? undefined : this.start(0, [envoy, ...flags, '--disable-hot-restart'], port)
  }
}

/** A command that the benchmark can't do without. */
export function needed(command: string, debianPackage = command): string {
  const path = findCommand(command)
  if (path === undefined) {
    const hint = `apt-get install ${debianPackage}`
    throw new WeftError('failed_precondition', `the benchmark needs ${command}, which is not on the PATH`, { hint })
  }
  return path
}

/** h2load for some seconds, on core 1: `clients` connections with `streams` requests at once on each. */
export async function h2load(
  url: string,
  clients: number,
  streams: number,
  seconds: number,
  more: readonly string[] = [],
): Promise<Load> {
  const tool = needed('h2load', 'nghttp2-client')
  const words = ['-t1', `-c${clients}`, `-m${streams}`, `-D${seconds}`, ...more, url]
  const { stdout } = await run('taskset', ['-c', '1', tool, ...words], { maxBuffer: 16 * 1024 * 1024 })
  const [, done, succeeded, failed, errored] =
    /requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(stdout) ?? []
  const wrong = Number(/(\d+) 4xx, \d+ 5xx/.exec(stdout)?.[1] ?? 0) + Number(/4xx, (\d+) 5xx/.exec(stdout)?.[1] ?? 0)
  // What was under way when the time was over is no error.
  const unfinished = clients * streams
  return {
    requests: Number(succeeded ?? done),
    seconds,
    errors: wrong + Math.max(0, Number(failed ?? 0) + Number(errored ?? 0) - unfinished),
    p99Ms: Number.NaN,
  }
}

/** wrk for some seconds, on core 1. */
export async function wrk(url: string, connections: number, seconds: number, headers: readonly string[] = []): Promise<Load> {
  const { stdout } = await run('taskset', [
    ...['-c', '1', needed('wrk'), '-t1', `-c${connections}`, `-d${seconds}s`, '--latency'],
    ...headers.flatMap((header) => ['-H', header]),
    url,
  ])
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? []
  const [, amount, factor = ''] = /, ([\d.]+)([KMGT]?)B read/.exec(stdout) ?? []
  const match = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout)
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    seconds,
    errors: errors.reduce((sum, value) => sum + Number(value), Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0)),
    bytes: Number(amount) * 1024 ** ' KMGT'.indexOf(factor || ' '),
    p99Ms: Number(match?.[1]) * ({ us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? ''] ?? Number.NaN),
  }
}

export interface Result {
  name: string
  /** CPU microseconds a request, of all its processes; the median over rounds. */
  cpuMicros: number
  /** … as a share of the one's that all are compared with. */
  times: number
  perSecond: number
  p99Ms: number
  rssMiB: number
  errors: number
}

/** Loads each contender in its turn, round by round, and tells medians in a table and a JSON line. */
export async function measure(
  bench: string,
  title: string,
  contenders: readonly Contender[],
  { rounds, seconds }: BenchOptions,
  unit = 'request',
  comparedWith = 'envoy',
  warmUnits = warmRequests,
): Promise<Result[]> {
  if (contenders.length === 0) throw new WeftError('failed_precondition', `${bench}: nothing that --only names is present here`)
  const samples = new Map<Contender, (Load & { cpuMicros: number })[]>(contenders.map((one) => [one, []]))
  for (const contender of contenders) await warm(contender, warmUnits)
  for (let round = 0; round < rounds; round++) {
    for (const [contender, taken] of samples) {
      const cpu = (): number => contender.processes.reduce((sum, { pid }) => sum + cpuMicroseconds(pid), 0)
      const before = cpu()
      const load = await contender.load(seconds)
      taken.push({ ...load, cpuMicros: (cpu() - before) / load.requests })
    }
  }
  const middle = (contender: Contender, pick: (sample: Load & { cpuMicros: number }) => number): number =>
    median((samples.get(contender) ?? []).map(pick))
  const other = contenders.find(({ name }) => name === comparedWith)
  const base = other === undefined ? Number.NaN : middle(other, (sample) => sample.cpuMicros)
  const results = contenders.map((contender): Result => {
    const cpuMicros = middle(contender, (sample) => sample.cpuMicros)
    return {
      name: contender.name,
      cpuMicros: round(cpuMicros, 1),
      times: round(cpuMicros / base, 2),
      perSecond: Math.round(middle(contender, (sample) => sample.requests / sample.seconds)),
      p99Ms: round(
        middle(contender, (sample) => sample.p99Ms),
        2,
      ),
      rssMiB: Math.round(contender.processes.reduce((sum, { pid }) => sum + residentMiB(pid), 0)),
      errors: (samples.get(contender) ?? []).reduce((sum, { errors }) => sum + errors, 0),
    }
  })
  console.log(`${title}; medians of ${rounds} rounds of ${seconds} s`)
  const header = ['proxy', `CPU µs/${unit}`, `× ${comparedWith}`, `${unit}s/s`, 'p99 ms', 'RSS MiB', 'errors']
  const cell = (value: number): string => (Number.isNaN(value) ? '–' : String(value))
  console.log(
    formatTable(
      header,
      results.map((r) => [r.name, ...[r.cpuMicros, r.times, r.perSecond, r.p99Ms, r.rssMiB, r.errors].map(cell)]),
    ),
  )
  console.log(JSON.stringify({ bench, rounds, seconds, results }))
  return results
}

/** Loads it until its code is compiled for what comes: by requests, as a second on a busy machine may be a few of them. */
async function warm(contender: Contender, units: number): Promise<void> {
  const until = performance.now() + 60_000
  for (let requests = 0; requests < units && performance.now() < until; ) requests += (await contender.load(2)).requests
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
