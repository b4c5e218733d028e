import { writeFile } from 'node:fs/promises'
import { get as httpGet } from 'node:http'
import { join } from 'node:path'
import { freePort, type Running, start, until } from '../../processes.ts'
import type { ClientTurn, ParityCase, Ports } from './case.ts'
import { playHttp2Turn } from './http2-turn.ts'
import type { WireMessage } from './message-reader.ts'
import { type Origin, startOrigin } from './origin.ts'
import { playTurn, type TurnResult } from './wire.ts'

/** A proxy that cases are played to. */
export interface Subject {
  name: 'envoy' | 'weft'
  command: readonly string[]
}

/** What could be seen from outside, one line a fact; what differs from run to run is folded. */
export interface Observation {
  answers: string[]
  upstream: string[]
  stats: string[]
  log: string[]
  admin: string[]
  exit: string[]
}

export const aspects = ['answers', 'upstream', 'stats', 'log', 'admin', 'exit'] as const

/** Plays a case to a subject, in a folder of its own. */
export async function observe(subject: Subject, one: ParityCase, folder: string): Promise<Observation> {
  const origins = new Map<string, Origin>()
  const seen: Observation = { answers: [], upstream: [], stats: [], log: [], admin: [], exit: [] }
  let proxy: Running | undefined
  try {
    const scripts = one.origins ?? { a: {} }
    for (const [name, script] of Object.entries(scripts)) origins.set(name, await startOrigin(name, script))
    const ports: Record<string, number> = {}
    for (const [name, origin] of origins) ports[name] = origin.port
    for (const name of ['http', 'admin', ...(one.ports ?? [])]) ports[name] = await freePort()
    const fold = folding(ports)
    const file = join(folder, `${one.name.replaceAll('/', '-')}-${subject.name}.json`)
    await writeFile(file, JSON.stringify(one.bootstrap(ports)))
    const command = [...subject.command, '-c', file, '--concurrency', '1', '-l', 'error', '--drain-time-s', '1']
    if (one.validateOnly === true) {
      seen.exit.push(await exitOf(start([...command, '--mode', 'validate'])))
      return seen
    }
    proxy = start(command)
    await untilReady(ports['admin'] ?? 0, proxy)
    const before = await stats(ports['admin'] ?? 0)
    for (const result of await playTurns(ports, one.turns ?? [])) seen.answers.push(...describe(result, fold))
    if (one.ignoreUpstream !== true)
      for (const [name, origin] of origins) seen.upstream.push(...origin.seen.flatMap((message) => told(message, fold, name)))
    const grown = increments(before, await settledStats(ports['admin'] ?? 0))
    seen.stats = grown
      .map(fold)
      .filter((line) => one.ignoreStats?.test(line) !== true)
      .sort()
    for (const path of one.admin ?? []) {
      const { status, body } = await fetchAdmin(ports['admin'] ?? 0, path)
      seen.admin.push(...`${path} ${status}\n${fold(flat(body))}`.split('\n'))
    }
    await proxy.stop(5000)
    seen.log = logLines(proxy.output()).map(fold)
    return seen
  } finally {
    if (proxy !== undefined && proxy.child.exitCode === null) await proxy.stop(2000)
    for (const origin of origins.values()) origin.close()
  }
}

export async function untilReady(admin: number, proxy: Running): Promise<void> {
  await until(
    () =>
      fetchAdmin(admin, '/ready').then(
        ({ status }) => status === 200,
        () => false,
      ),
    'the proxy to be ready',
    proxy,
    60_000,
  )
}

async function playTurns(ports: Ports, turns: readonly (ClientTurn | string)[]): Promise<TurnResult[]> {
  const results: Promise<TurnResult>[] = []
  for (const turn of turns) {
    const whole: ClientTurn = typeof turn === 'string' ? { send: [turn] } : turn
    if (whole.together !== true) await Promise.all(results)
    results.push((whole.http2 === undefined ? playTurn : playHttp2Turn)(ports['http'] ?? 0, whole))
  }
  return Promise.all(results)
}

async function exitOf(running: Running): Promise<string> {
  const code = await new Promise<number | null>((resolve) => {
    const patience = setTimeout(() => running.child.kill('SIGKILL'), 20_000)
    running.child.once('exit', (status) => {
      clearTimeout(patience)
      resolve(status)
    })
  })
  return code === 0 ? 'accepted' : 'refused'
}

/** Ports by their names, and dates, ids and durations by what they are. */
function folding(ports: Ports): (text: string) => string {
  const byPort = new Map(Object.entries(ports).map(([name, port]) => [String(port), name]))
  const anyPort = new RegExp(`(?<![\\d.])(${[...byPort.keys()].join('|')})(?!\\d)`, 'g')
  return (text) =>
    text
      // Addresses that sessions carry along.
      .replace(/(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{16,}={0,2}/g, (coded) => {
        const address = /127\.0\.0\.1:\d+/.exec(Buffer.from(coded, 'base64').toString('latin1'))
        return address === null ? coded : `<base64 of ${address[0]}>`
      })
      .replace(anyPort, (port) => `<${byPort.get(port)}>`)
      .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<uuid>')
      .replace(/[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT/g, '<date>')
      .replace(/(x-envoy-upstream-service-time: )\d+/gi, '$1<ms>')
      // What is left of a time limit at a later try: of a long one, more is used up on a busy machine.
      .replace(/(x-envoy-expected-rq-timeout-ms: )(\d{3,})/g, (_, name, ms) => {
        const step = Number(ms) > 5000 ? 5000 : 100
        return `${name}≤ ${Math.ceil(Number(ms) / step) * step}`
      })
      .replace(/127\.0\.0\.1:\d{5}/g, '127.0.0.1:<client>')
}

function describe(result: TurnResult, fold: (text: string) => string): string[] {
  const lines = [
    ...(result.tls ?? []).map((fact) => `client: TLS ${fact}`),
    ...result.answers.flatMap((message) => told(message, fold, 'client')),
  ]
  if (result.rest !== '') lines.push(`client: rest ${fold(JSON.stringify(result.rest))}`)
  lines.push(`client: ${result.end}`)
  return lines
}

/** One message, its headers sorted: their order means nothing between different names. */
function told(message: WireMessage, fold: (text: string) => string, who: string): string[] {
  const headers = message.headers.map(([name, value]) => fold(`${name}: ${value}`)).sort()
  const body = message.body.length > 400 ? `${message.body.length} bytes` : fold(message.body)
  return [
    `${who}: ${fold(message.start)}${message.complete ? '' : ' (incomplete)'}`,
    ...headers.map((line) => `${who}:   ${line}`),
    ...(body === '' ? [] : [`${who}:   body ${JSON.stringify(body)}`]),
    ...message.trailers.map((line) => `${who}:   trailer ${line}`),
  ]
}

function fetchAdmin(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = httpGet({ host: '127.0.0.1', port, path, timeout: 5000, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
    asked.on('timeout', () => asked.destroy(new Error(`the admin address does not answer ${path}`)))
    asked.on('error', reject)
  })
}

/** JSON as one line a leaf, sorted; anything else as it is. */
function flat(body: string): string {
  let tree: unknown
  try {
    tree = JSON.parse(body)
  } catch {
    return body.trimEnd()
  }
  const lines: string[] = []
  const walk = (at: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) lines.push(`${at} = ${JSON.stringify(value)}`)
    else for (const [key, inner] of Object.entries(value)) walk(`${at}.${key}`, inner)
  }
  walk('', tree)
  return lines.sort().join('\n')
}

type Stats = ReadonlyMap<string, number>

async function stats(admin: number): Promise<Stats> {
  const { body } = await fetchAdmin(admin, '/stats')
  const found = new Map<string, number>()
  for (const line of body.split('\n')) {
    const match = /^([^:]+(?:::[^:]+)*): (\d+)$/.exec(line)
    if (match?.[1] !== undefined && compared(match[1])) found.set(match[1], Number(match[2]))
  }
  return found
}

/** The stats once they stand still. */
async function settledStats(admin: number): Promise<Stats> {
  let before = await stats(admin)
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const now = await stats(admin)
    if (now.size === before.size && [...now].every(([name, value]) => before.get(name) === value)) return now
    before = now
  }
  return before
}

/** What a request moves, and no race or buffer size decides. */
function compared(name: string): boolean {
  if (
    !/^(http\.ingress|tcp|proxy_proto|tls_inspector|http_inspector|n|local_rate_limit|connection_limit|cluster\.[a-z]\w*|vhost|listener\.(?!admin)[^.]+)\./.test(
      name,
    )
  )
    return false
  if (/\.ssl\.(handshake|no_certificate|connection_error|fail_\w+)$/.test(name)) return true
  return !/bytes|_ms|delayed_close|_cx_active|cx_length|\.http1\.|update_|assignment|\.worker_|ssl|upstream_cx_(idle_timeout|destroy|max_requests|close_notify)|cx_destroy|membership|default\.total_match|version|init_fetch|circuit_breakers|lb_recalculate|lb_sub|external|internal|canary/.test(
    name,
  )
}

function increments(before: Stats, after: Stats): string[] {
  return [...after]
    .map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const)
    .filter(([, grown]) => grown !== 0)
    .map(([name, grown]) => `${name} +${grown}`)
    .sort()
}

export function logLines(output: string): string[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('LOG '))
    .sort()
}
