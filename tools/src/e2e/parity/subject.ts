import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, type Running, start, until } from '../../processes.ts'
import type { ClientTurn, ParityCase, Ports } from './case.ts'
import { playHttp2Turn } from './http2-turn.ts'
import { type Origin, startOrigin } from './origin.ts'
import { fetchAdmin, increments, settledStats, stats } from './stats.ts'
import { describe, folding, told } from './told.ts'
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

export function logLines(output: string): string[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('LOG '))
    .sort()
}
