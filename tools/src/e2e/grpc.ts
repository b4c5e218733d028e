/**
 * gRPC through two sidecars with mutual TLS: clients and servers of two independent libraries (grpc-js, and C-core through
 * Python), each with each; then a slow reader, a drain and what sidecars do of themselves.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort, type Running, residentMiB, start, until, untilListening } from '../processes.ts'
import { clientSidecar, createSidecarKeys, type SidecarKeys, type SidecarOptions, serverSidecar } from '../sidecars.ts'
import { failure, jsCalls, ProbeClient } from './grpc/js-client.ts'
import { expect, type Scenario } from './scenario.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')
const here = join(import.meta.dirname, 'grpc')

interface Pair {
  near: Running
  far: Running
  port: number
  nearAdmin: number
  farAdmin: number
}

/** The scenario. */
export async function grpcScenario(scenario: Scenario): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-grpc-'))
  scenario.cleanup(() => rmSync(folder, { recursive: true, force: true }))
  const keys = await createSidecarKeys()
  const python = await pythonWithGrpc()
  const libraries: readonly Library[] = python === undefined ? ['js'] : ['js', 'core']
  if (python === undefined) scenario.skip('C-core', 'no python3 here has the grpc module (Debian: python3-grpcio)')
  for (const serverLibrary of libraries) {
    const server = await startServer(scenario, serverLibrary, python)
    const pair = await startPair(scenario, folder, keys, server)
    for (const clientLibrary of libraries) {
      scenario.section(`${names[clientLibrary]} client, ${names[serverLibrary]} server`)
      const results = clientLibrary === 'js' ? await callsOfJs(pair.port) : await callsOfCore(python ?? '', pair.port)
      for (const [name, result] of Object.entries(results)) {
        const wanted = expected[name]
        scenario.check(meanings[name] ?? name, same(wanted, result), `${short(result)}, wanted ${short(wanted)}`, 'on')
      }
      await scenario.attempt('the server has heard of the deadline and of the cancelled call', async () => {
        const client = new ProbeClient(server)
        const before = 2 * (libraries.indexOf(clientLibrary) + 1)
        await until(async () => (await client.seen()).cancelled >= before, `${before} cancelled calls`)
        client.close()
        return undefined
      })
    }
    scenario.section(`${names[serverLibrary]} server: load and life`)
    await slowReader(scenario, pair, server)
    await oneConnection(scenario, pair)
  }
  scenario.section('what sidecars do of themselves')
  await upstreamGone(scenario, folder, keys)
  await drain(scenario, folder, keys)
}

type Library = 'js' | 'core'

const names: Readonly<Record<Library, string>> = { js: 'grpc-js', core: 'C-core' }

const binary = Array.from({ length: 256 }, (_, i) => i)
/** What each call gives, whichever library makes it. */
const expected: Record<string, unknown> = {
  unary: 5,
  large: true,
  metadata: [{ 'x-echo': 'one, two', 'x-echo-bin': binary }, 'end', [0, 255]],
  client_stream: '200000',
  server_stream: Array(300).fill(1000),
  both_ways: true,
  status: [5, 'café %\nline'],
  unimplemented: 12,
  deadline: 4,
  cancel: 1,
  retries: 5,
  exhausted: 14,
}

const meanings: Record<string, string> = {
  unary: 'a unary call',
  large: 'a message of 5 MiB both ways',
  metadata: 'metadata and trailers, text and binary',
  client_stream: 'a stream of requests',
  server_stream: 'a stream of answers',
  both_ways: 'both ways, message by message',
  status: 'a status with its details',
  unimplemented: 'an unknown method',
  deadline: 'a deadline',
  cancel: 'a cancelled call',
  retries: 'a call that is unavailable twice is tried a third time by the sidecar',
  exhausted: 'a call that stays unavailable says so',
}

function same(wanted: unknown, result: unknown): boolean {
  return JSON.stringify(wanted) === JSON.stringify(normal(result))
}

/** Values of one key may come joined or one by one. */
function normal(result: unknown): unknown {
  if (!Array.isArray(result) || !Array.isArray(result[0]) || !Array.isArray(result[0][0])) return result
  const pairs = result[0] as [string, unknown][]
  const texts = pairs.filter(([key]) => key === 'x-echo').map(([, value]) => value)
  const bytes = pairs.find(([key]) => key === 'x-echo-bin')?.[1]
  return [{ 'x-echo': texts.join(', '), 'x-echo-bin': bytes }, ...result.slice(1)]
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}

async function pythonWithGrpc(): Promise<string | undefined> {
  for (const candidate of ['/usr/bin/python3', 'python3']) {
    const found = await run(candidate, ['-c', 'import grpc']).then(
      () => true,
      () => false,
    )
    if (found) return candidate
  }
  return undefined
}

async function startServer(scenario: Scenario, library: Library, python: string | undefined): Promise<number> {
  const port = await freePort()
  const command = library === 'js' ? [process.execPath, join(here, 'js-server.ts')] : [python ?? '', join(here, 'core_server.py')]
  const server = start([...command, String(port)])
  scenario.cleanup(() => server.stop())
  await untilListening(port, server, '127.0.0.1', 90_000)
  return port
}

async function startSidecar(scenario: Scenario, file: string, bootstrap: object, listen: number): Promise<Running> {
  writeFileSync(file, JSON.stringify(bootstrap))
  const main = join(root, 'apps/proxy/src/main.ts')
  const sidecar = start([process.execPath, main, '-c', file, '--concurrency', '1', '-l', 'warn', '--drain-time-s', '5'])
  scenario.cleanup(() => sidecar.stop())
  await untilListening(listen, sidecar, '127.0.0.1', 90_000)
  return sidecar
}

async function startPair(scenario: Scenario, folder: string, keys: SidecarKeys, application: number): Promise<Pair> {
  const options: SidecarOptions = { keys, application: 'http2', between: 'shared' }
  const [port, nearAdmin, farPort, farAdmin] = [await freePort(), await freePort(), await freePort(), await freePort()]
  const farFile = join(folder, `far-${farPort}.json`)
  const nearFile = join(folder, `near-${port}.json`)
  const [far, near] = await Promise.all([
    startSidecar(scenario, farFile, serverSidecar(farPort, farAdmin, application, options), farPort),
    startSidecar(scenario, nearFile, clientSidecar(port, nearAdmin, [farPort], options), port),
  ])
  return { near, far, port, nearAdmin, farAdmin }
}

async function callsOfJs(port: number): Promise<Record<string, unknown>> {
  const client = new ProbeClient(port)
  const results: Record<string, unknown> = {}
  for (const [name, call] of Object.entries(jsCalls(client))) {
    results[name] = await call().catch((error: unknown) => String(error))
  }
  client.close()
  return results
}

async function callsOfCore(python: string, port: number): Promise<Record<string, unknown>> {
  const { stdout } = await run(python, [join(here, 'core_client.py'), String(port)], { timeout: 180_000 })
  const lines = stdout.trim().split('\n')
  const results = lines.map((line) => JSON.parse(line) as { call: string; result?: unknown; error?: string })
  return Object.fromEntries(results.map(({ call, result, error }) => [call, result ?? error]))
}

/** A call whose answers nobody reads: 128 MiB wait where they are made, other calls go on, and nothing is lost at last. */
async function slowReader(scenario: Scenario, { near, far, port }: Pair, server: number): Promise<void> {
  const pieces = 2048
  const client = new ProbeClient(port)
  const direct = new ProbeClient(server)
  await scenario.attempt(
    'a reader that stands still: memory stays bounded, other calls go on, and it gets all in the end',
    async () => {
      const before = [residentMiB(near.pid), residentMiB(far.pid)]
      const sentBefore = (await direct.seen()).sent
      const call = client.spread(pieces, 65_536, 120_000)
      // grpc-js holds a server up only when a first message has been asked of it; without, it keeps all that comes.
      const answers = call[Symbol.asyncIterator]()
      let length = (await answers.next()).value.length
      let sent = -1
      // It stands still when two looks see the same.
      await until(async () => {
        const last = sent
        sent = (await direct.seen()).sent - sentBefore
        await client.echo(Buffer.from('meanwhile'))
        return sent > 0 && sent === last
      }, 'the server to be held up')
      const grown = [near, far].map(({ pid }, i) => Math.round(residentMiB(pid) - before[i]!))
      expect(sent < pieces / 16, `the server could write ${sent} of ${pieces} messages`)
      expect(
        grown.every((mib) => mib < 96),
        `the sidecars grew by ${grown.join(' and ')} MiB`,
      )
      for (let next = await answers.next(); next.done !== true; next = await answers.next()) length += next.value.length
      expect(length === pieces * 65_536, `${length} bytes came`)
      return `${Math.round((sent * 65_536) / 1_048_576)} MiB under way, the sidecars grew by ${grown.join(' and ')} MiB`
    },
  )
  client.close()
  direct.close()
}

async function statsOf(admin: number, filter: string): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=${filter}`)).text()
  return new Map(
    text.split('\n').flatMap((line) => (/^[^:]+: \d+$/.test(line) ? [[line.split(': ')[0]!, Number(line.split(': ')[1])]] : [])),
  )
}

async function oneConnection(scenario: Scenario, { port, nearAdmin, farAdmin }: Pair): Promise<void> {
  await scenario.attempt('calls of many clients shared one connection between the sidecars', async () => {
    const clients = Array.from({ length: 8 }, () => new ProbeClient(port))
    await Promise.all(clients.map((client) => client.echo(Buffer.from('x'))))
    for (const client of clients) client.close()
    const near = await statsOf(nearAdmin, 'cluster.outbound.upstream_cx_http2_total')
    const far = await statsOf(farAdmin, 'http.inbound.downstream_cx_http2_total')
    const [made, taken] = [
      near.get('cluster.outbound.upstream_cx_http2_total'),
      far.get('http.inbound.downstream_cx_http2_total'),
    ]
    expect(made === 1 && taken === 1, `${made} were made, ${taken} were taken`)
    return undefined
  })
}

/** What a sidecar answers of itself is gRPC too. */
async function upstreamGone(scenario: Scenario, folder: string, keys: SidecarKeys): Promise<void> {
  await scenario.attempt('a server that is not there is UNAVAILABLE', async () => {
    const nobody = await freePort()
    const { port } = await startPair(scenario, folder, keys, nobody)
    const client = new ProbeClient(port)
    const [code, details] = await failure(client.echo(Buffer.alloc(0)))
    client.close()
    expect(code === 14, `code ${code}: ${details}`)
    return details
  })
}

/** One of two server sidecars drains and ends while calls run; a call that is under way is finished by it. */
async function drain(scenario: Scenario, folder: string, keys: SidecarKeys): Promise<void> {
  const application = await startServer(scenario, 'js', undefined)
  const options: SidecarOptions = { keys, application: 'http2', between: 'shared' }
  const ports = [await freePort(), await freePort()]
  const admins = [await freePort(), await freePort()]
  const far: Running[] = []
  for (const [i, port] of ports.entries()) {
    const file = join(folder, `drain-${i}.json`)
    far.push(await startSidecar(scenario, file, serverSidecar(port, admins[i]!, application, options), port))
  }
  const [port, admin] = [await freePort(), await freePort()]
  await startSidecar(scenario, join(folder, 'drain-near.json'), clientSidecar(port, admin, ports, options), port)
  await scenario.attempt('not one call is lost when a sidecar drains and ends', async () => {
    const client = new ProbeClient(port)
    const codes = new Map<string, number>()
    let running = true
    let calls = 0
    const loop = async (): Promise<void> => {
      while (running) {
        const [code, details] = await failure(client.echo(Buffer.from('x'), { 'x-sleep-ms': '20' }))
        calls++
        if (code !== 0) codes.set(`${code} ${details}`, (codes.get(`${code} ${details}`) ?? 0) + 1)
      }
    }
    const loops = Array.from({ length: 16 }, loop)
    // Streams of a second, begun before the drain.
    const streams = Array.from({ length: 8 }, () => client.echo(Buffer.from('long'), { 'x-sleep-ms': '1500' }))
    await until(() => calls > 100, 'calls to run')
    await fetch(`http://127.0.0.1:${admins[0]}/drain_listeners?graceful`, { method: 'POST' })
    const at = calls
    await until(() => calls > at + 200, 'calls to run on')
    far[0]!.child.kill('SIGTERM')
    await until(
      () => far[0]!.child.exitCode !== null || far[0]!.child.signalCode !== null,
      'the sidecar to end',
      undefined,
      30_000,
    )
    const after = calls
    await until(() => calls > after + 100, 'calls to run on')
    running = false
    await Promise.all(loops)
    const long = await Promise.all(streams.map((stream) => failure(stream)))
    client.close()
    expect(
      codes.size === 0 && long.every(([code]) => code === 0),
      `of ${calls}: ${JSON.stringify([...codes])}; long ones: ${JSON.stringify(long.filter(([code]) => code !== 0))}`,
    )
    return `${calls} calls`
  })
}
