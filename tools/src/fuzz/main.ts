import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { mutate } from './mutate.ts'
import { seededRandom } from './random.ts'
import type { FuzzTarget } from './target.ts'

/** All targets by name. */
const TARGETS: Readonly<Record<string, () => Promise<FuzzTarget>>> = {
  attributes: async () => (await import('./targets/attributes.ts')).attributes,
  cel: async () => (await import('./targets/cel.ts')).cel,
  'client-hello': async () => (await import('./targets/client-hello.ts')).clientHello,
  expressions: async () => (await import('./targets/expressions.ts')).expressions,
  h2: async () => (await import('./targets/h2.ts')).h2,
  hpack: async () => (await import('./targets/hpack.ts')).hpack,
  http1: async () => (await import('./targets/http1.ts')).http1,
  'proxy-protocol': async () => (await import('./targets/proxy-protocol.ts')).proxyProtocol,
  'forwarded-attributes': async () => (await import('./targets/forwarded-attributes.ts')).forwardedAttributes,
}

const USAGE = `usage: npm run fuzz -- NAME… [--seconds N] [--seed N]
targets: ${Object.keys(TARGETS).join(', ')}`

/** An input that takes longer than this is a finding too. */
const SLOW_MS = 1000
/** Inputs kept to mutate further. */
const POOL = 500
/** Memory in use may differ by this much between an early and the last moment: the pool's own turnover, and compiled code. */
const GROWTH_BYTES = 48 * 2 ** 20

interface Finding {
  problem: string
  input: Uint8Array
}

/** Feeds a target with mutated inputs for a time. Gives the number of inputs, and what broke. */
async function fuzz(
  target: FuzzTarget,
  seconds: number,
  seed: number,
): Promise<{ inputs: number; finding: Finding | undefined }> {
  const random = seededRandom(seed)
  const pool = [...target.seeds]
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  let inputs = 0
  let earlyBytes: number | undefined
  for (const input of target.seeds) {
    const finding = await feed(target, input)
    if (finding !== undefined) return { inputs, finding }
  }
  while (performance.now() < endMs) {
    const input = mutate(random, pool[random(pool.length)] ?? new Uint8Array(), pool, target.words)
    inputs++
    const finding = await feed(target, input)
    if (finding !== undefined) return { inputs, finding }
    if (pool.length < POOL) pool.push(input)
    else if (random(10) === 0) pool[target.seeds.length + random(POOL - target.seeds.length)] = input
    // A fifth of the time in, with the pool full, everything that is made once has been made.
    if (earlyBytes === undefined && pool.length >= POOL && performance.now() - startMs > seconds * 200) earlyBytes = bytesInUse()
  }
  const grown = earlyBytes === undefined ? 0 : bytesInUse() - earlyBytes
  if (grown > GROWTH_BYTES) {
    const problem = `memory in use grew by ${Math.round(grown / 2 ** 20)} MiB`
    return { inputs, finding: { problem, input: new Uint8Array() } }
  }
  return { inputs, finding: undefined }
}

async function feed(target: FuzzTarget, input: Uint8Array): Promise<Finding | undefined> {
  const startMs = performance.now()
  try {
    const turn = target.run(input)
    if (turn !== undefined) await turn
  } catch (thrown) {
    return { problem: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown), input }
  }
  const tookMs = performance.now() - startMs
  return tookMs > SLOW_MS ? { problem: `took ${Math.round(tookMs)} ms`, input } : undefined
}

/** What is in use after everything that can be collected has been. */
function bytesInUse(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
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
    const { inputs, finding } = await fuzz(await load(), seconds, seed)
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
