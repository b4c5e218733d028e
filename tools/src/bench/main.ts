/**
 * `npm run bench -- NAME [--rounds N] [--seconds N]`: a benchmark with its peers in one run; a table and one JSON line. `figures` makes
 * the table of docs/performance.md of such lines.
 */
import { parseArgs } from 'node:util'
import { WeftError } from '@weft/service/errors'
import type { BenchOptions } from './bench-options.ts'

type Bench = (options: BenchOptions) => Promise<void>

const benches: Record<string, () => Promise<{ run: Bench }>> = {
  connections: () => import('./connections.ts').then((module) => ({ run: module.benchConnections })),
  csr: () => import('./csr.ts').then((module) => ({ run: module.benchCsr })),
  'h1-codec': () => import('./h1-codec.ts').then((module) => ({ run: module.benchH1Codec })),
  'h2-codec': () => import('./h2-codec.ts').then((module) => ({ run: module.benchH2Codec })),
  grpc: () => import('./grpc.ts').then((module) => ({ run: module.benchGrpc })),
  h2: () => import('./h2.ts').then((module) => ({ run: module.benchH2 })),
  handshakes: () => import('./tls.ts').then((module) => ({ run: module.benchHandshakes })),
  herd: () => import('./herd.ts').then((module) => ({ run: module.benchHerd })),
  http1: () => import('./http1.ts').then((module) => ({ run: module.benchHttp1 })),
  'http1-512': () => import('./http1.ts').then((module) => ({ run: module.benchHttp1Many })),
  'http1-bodies': () => import('./http1.ts').then((module) => ({ run: module.benchHttp1Bodies })),
  'http1-latency': () => import('./http1.ts').then((module) => ({ run: module.benchHttp1Latency })),
  'http1-memory': () => import('./http1.ts').then((module) => ({ run: module.benchHttp1Memory })),
  'http1-routes': () => import('./http1.ts').then((module) => ({ run: module.benchHttp1Routes })),
  'http1-workers': () => import('./http1.ts').then((module) => ({ run: module.benchHttp1Workers })),
  figures: () => import('./figures.ts').then((module) => ({ run: module.printFigures })),
  idle: () => import('./idle.ts').then((module) => ({ run: module.benchIdle })),
  mesh: () => import('./mesh.ts').then((module) => ({ run: module.benchMesh })),
  mixer: () => import('./mixer.ts').then((module) => ({ run: module.benchMixer })),
  registries: () => import('./registries.ts').then((module) => ({ run: module.benchRegistries })),
  pilot: () => import('./pilot.ts').then((module) => ({ run: module.benchPilot })),
  tcp: () => import('./tcp.ts').then((module) => ({ run: module.benchTcp })),
  tls: () => import('./tls.ts').then((module) => ({ run: module.benchTls })),
  'mixer-sidecar': () => import('./mixer-sidecar.ts').then((module) => ({ run: module.benchMixerSidecar })),
}

/** Runs the named benchmark. Throws a WeftError for what is asked for and not there. */
async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      only: { type: 'string', multiple: true, default: [] },
      requests: { type: 'string', default: '10000000' },
    },
  })
  const [name] = positionals
  const load = name === undefined ? undefined : benches[name]
  if (load === undefined) {
    const problem = name === undefined ? 'name one' : `no benchmark '${name}'`
    throw new WeftError('invalid_argument', `${problem}; there are: ${Object.keys(benches).join(', ')}`)
  }
  const count = (option: 'rounds' | 'seconds' | 'requests'): number => {
    const value = Number(values[option])
    if (value > 0 && Number.isInteger(value)) return value
    throw new WeftError('invalid_argument', `--${option} takes a whole number from 1, not '${values[option]}'`)
  }
  const only = values.only.flatMap((names) => names.split(','))
  const { run } = await load()
  await run({ rounds: count('rounds'), seconds: count('seconds'), requests: count('requests'), only })
}

try {
  await main(process.argv.slice(2))
} catch (thrown) {
  // What the caller can mend needs no stack; parseArgs throws TypeErrors with a code.
  const told = thrown instanceof WeftError ? thrown.describe() : isOfArguments(thrown) ? thrown.message : thrown
  console.error('bench:', told)
  process.exitCode = 2
}

function isOfArguments(thrown: unknown): thrown is Error {
  return thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('ERR_PARSE_ARGS')
}
