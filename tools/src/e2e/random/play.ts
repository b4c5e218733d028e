import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts, type Running, start } from '../../processes.ts'
import { differences } from '../parity/differences.ts'
import { playHttp2Turn } from '../parity/http2-turn.ts'
import { type Origin, startOrigin } from '../parity/origin.ts'
import { increments, settledStats, stats } from '../parity/stats.ts'
import { type Observation, type Subject, untilReady } from '../parity/subject.ts'
import { describe, folding, told } from '../parity/told.ts'
import { playTurn } from '../parity/wire.ts'
import { chooser } from './answers.ts'
import type { World } from './world.ts'

/** What could be seen of a seed by what it is about: a unit's index on its listener, or the listener's statistics. */
export type Seen = ReadonlyMap<string, Observation>

const blank = (): Observation => ({ answers: [], upstream: [], stats: [], log: [], admin: [], exit: [] })
const originNames = ['a', 'b', 'mirror', 'auth'] as const

/** Plays a seed's world to a proxy. */
export async function play(subject: Subject, world: World, folder: string): Promise<Seen> {
  const origins = new Map<string, Origin>()
  let proxy: Running | undefined
  try {
    for (const name of originNames) origins.set(name, await startOrigin(name, { choose: chooser(world.answers) }))
    const names = ['admin', 'down', ...world.listeners]
    const free = await freePorts(names.length)
    const ports: Record<string, number> = {}
    for (const [index, name] of names.entries()) ports[name] = free[index] ?? 0
    for (const [name, { port }] of origins) ports[name] = port
    const file = join(folder, `${subject.name}.json`)
    const logFile = join(folder, `${subject.name}.log`)
    await writeFile(file, JSON.stringify(world.bootstrap(ports, logFile)))
    await writeFile(logFile, '')
    const admin = ports['admin'] ?? 0
    proxy = start([...subject.command, '-c', file, '--concurrency', '1', '-l', 'error', '--drain-time-s', '1'])
    await untilReady(admin, proxy)
    const before = await stats(admin)
    const fold = folding(ports)
    const seen = new Map<string, Observation>()
    const ask = async (name: string): Promise<void> => {
      for (const [index, { turn }] of (world.units.get(name) ?? []).entries()) {
        const result = await (turn.http2 === undefined ? playTurn : playHttp2Turn)(ports[name] ?? 0, turn)
        seen.set(`${name}-${index}`, { ...blank(), answers: describe(result, fold).filter(isCompared) })
      }
      seen.set(name, blank())
    }
    await Promise.all(world.listeners.map(ask))
    for (const line of increments(before, await settledStats(admin)).map(fold)) {
      const owner = /[._](l\d)[._-]/.exec(line)?.[1]
      seen.get(owner ?? '')?.stats.push(line)
    }
    await proxy.stop(5000)
    for (const [name, { seen: messages }] of origins)
      for (const message of messages) {
        const id = message.headers.find(([key]) => key.toLowerCase() === 'x-id')?.[1]
        seen.get(unitOf(id))?.upstream.push(...told(message, fold, name))
      }
    for (const line of (await readFile(logFile, 'utf8')).split('\n').filter(Boolean))
      seen.get(unitOf(/ id=(\S+) /.exec(line)?.[1]))?.log.push(fold(line))
    return seen
  } finally {
    if (proxy !== undefined && proxy.child.exitCode === null) await proxy.stop(2000)
    for (const origin of origins.values()) origin.close()
  }
}

/** How a connection ends, and what Envoy writes behind an answer to HEAD, the compatibility page tells of. */
const isCompared = (line: string): boolean => !/^client: (closed|reset|left|rest )/.test(line)

/** A unit's id, of a request's. */
const unitOf = (id: string | undefined): string => id?.split('.')[0] ?? ''

/** What differs of one unit, or of a listener's statistics. */
export interface Difference {
  about: string
  lines: readonly string[]
  /** What Envoy logged. */
  log: readonly string[]
}

export function compare(theirs: Seen, ours: Seen): Difference[] {
  return [...theirs].flatMap(([about, envoy]) => {
    const lines = differences(envoy, ours.get(about) ?? blank())
    return lines.length === 0 ? [] : [{ about, lines, log: envoy.log }]
  })
}
