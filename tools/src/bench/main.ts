/** `npm run bench -- NAME [--rounds N] [--seconds N]`: a benchmark with its peers in one run; a table and one JSON line. */
import { parseArgs } from 'node:util'
import type { BenchOptions } from './bench-options.ts'

type Bench = (options: BenchOptions) => Promise<void>

const benches: Record<string, () => Promise<{ run: Bench }>> = {
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
  mesh: () => import('./mesh.ts').then((module) => ({ run: module.benchMesh })),
  mixer: () => import('./mixer.ts').then((module) => ({ run: module.benchMixer })),
  registries: () => import('./registries.ts').then((module) => ({ run: module.benchRegistries })),
  pilot: () => import('./pilot.ts').then((module) => ({ run: module.benchPilot })),
  tcp: () => import('./tcp.ts').then((module) => ({ run: module.benchTcp })),
  tls: () => import('./tls.ts').then((module) => ({ run: module.benchTls })),
  'mixer-sidecar': () => import('./mixer-sidecar.ts').then((module) => ({ run: module.benchMixerSidecar })),
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    only: { type: 'string', multiple: true, default: [] },
    requests: { type: 'string', default: '10000000' },
  },
})
const name = positionals[0]
const load = name === undefined ? undefined : benches[name]
if (load === undefined) {
  console.error(
    `bench: ${name === undefined ? 'name one' : `no benchmark '${name}'`}; there are: ${Object.keys(benches).join(', ')}`,
  )
  process.exitCode = 2
} else {
  const { run } = await load()
  const { rounds, seconds, requests, only } = values
  const named = only.flatMap((names) => names.split(','))
  await run({ rounds: Number(rounds), seconds: Number(seconds), requests: Number(requests), only: named })
}
