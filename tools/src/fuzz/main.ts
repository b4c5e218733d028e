import { parseArgs } from 'node:util'
import { mutate } from './mutate.ts'
import { seededRandom } from './random.ts'
import type { FuzzTarget } from './target.ts'

/** All targets by name. */
const TARGETS: Readonly<Record<string, () => Promise<FuzzTarget>>> = {
  attributes: async () => (await import('./targets/attributes.ts')).attributes,
  expressions: async () => (await import('./targets/expressions.ts')).expressions,
  h2: async () => (await import('./targets/h2.ts')).h2,
  hpack: async () => (await import('./targets/hpack.ts')).hpack,
  'forwarded-attributes': async () => (await import('./targets/forwarded-attributes.ts')).forwardedAttributes,
}

const USAGE = `usage: npm run fuzz -- NAME… [--seconds N] [--seed N]
targets: ${Object.keys(TARGETS).join(', ')}`

/** An input that takes longer than this is a finding too. */
const SLOW_MS = 1000
/** Inputs kept to mutate further. */
const POOL = 500

interface Finding {
  problem: string
  input: Uint8Array
}

/** Feeds a target with mutated inputs for a time. Gives the number of inputs, and what broke. */
function fuzz(target: FuzzTarget, seconds: number, seed: number): { inputs: number; finding: Finding | undefined } {
  const random = seededRandom(seed)
  const pool = [...target.seeds]
  const endMs = performance.now() + seconds * 1000
  let inputs = 0
  for (const input of target.seeds) {
    const finding = feed(target, input)
    if (finding !== undefined) return { inputs, finding }
  }
  while (performance.now() < endMs) {
    const input = mutate(random, pool[random(pool.length)] ?? new Uint8Array(), pool, target.words)
    inputs++
    const finding = feed(target, input)
    if (finding !== undefined) return { inputs, finding }
    if (pool.length < POOL) pool.push(input)
    else if (random(10) === 0) pool[target.seeds.length + random(POOL - target.seeds.length)] = input
  }
  return { inputs, finding: undefined }
}

function feed(target: FuzzTarget, input: Uint8Array): Finding | undefined {
  const startMs = performance.now()
  try {
    target.run(input)
  } catch (thrown) {
    return { problem: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown), input }
  }
  const tookMs = performance.now() - startMs
  return tookMs > SLOW_MS ? { problem: `took ${Math.round(tookMs)} ms`, input } : undefined
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string' } },
})
const unknown = positionals.filter((name) => !Object.hasOwn(TARGETS, name))
const seconds = Number(values.seconds)
const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed)
if (unknown.length > 0 || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error(`${unknown.length > 0 ? `no target is called ${unknown.join(', ')}` : 'not a number'}\n${USAGE}`)
  process.exitCode = 2
} else {
  for (const [name, load] of Object.entries(TARGETS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    const { inputs, finding } = fuzz(await load(), seconds, seed)
    if (finding === undefined) {
      console.log(`${name}: ${inputs} inputs, nothing found (seed ${seed})`)
      continue
    }
    console.log(`${name}: FOUND after ${inputs} inputs (seed ${seed})\n${finding.problem}`)
    console.log(`input, base64: ${Buffer.from(finding.input).toString('base64')}`)
    console.log(`input, text: ${JSON.stringify(Buffer.from(finding.input).toString('latin1')).slice(0, 2000)}`)
    process.exitCode = 1
  }
}
