import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { mintJoinTokens } from '@weft/weft/clients/citadel'
import { freePort, type Running, start, until, untilListening } from '../processes.ts'

/** A Citadel for a benchmark. */
export interface BenchCitadel {
  readonly process: Running
  readonly grpcPort: number
  readonly adminPort: number
  /** The certificate that its clients trust (PEM). */
  readonly root: Buffer
  /** Join tokens for so many identities. */
  mint(count: number): Promise<{ identity: string; token: string }[]>
}

/** Runs `work` with a Citadel of its own, which has these flags besides, and ends it. */
export async function withCitadel(flags: readonly string[], work: (citadel: BenchCitadel) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-citadel-'))
  const [grpcPort, adminPort] = [await freePort(), await freePort()]
  const rootFile = join(folder, 'root.pem')
  const main = resolve(import.meta.dirname, '../../../apps/citadel/src/main.ts')
  const citadel = start([
    ...[process.execPath, main, '--grpc-address', `127.0.0.1:${grpcPort}`, '--admin-address', `127.0.0.1:${adminPort}`],
    ...['--data-dir', join(folder, 'data'), '--root-cert-file', rootFile, '--log-level', 'warn', ...flags],
  ])
  try {
    await untilListening(adminPort, citadel)
    await until(async () => (await fetch(`http://127.0.0.1:${adminPort}/healthz/ready`)).ok, 'Citadel to be ready', citadel)
    const mint = async (count: number): Promise<{ identity: string; token: string }[]> => {
      const asked = Array.from({ length: count }, (_, index) => ({
        identity: `spiffe://cluster.local/ns/bench/sa/workload-${index}`,
        ttlSeconds: 3_600,
      }))
      const tokens = await mintJoinTokens(`127.0.0.1:${adminPort}`, join(folder, 'data/operator.token'), asked)
      return tokens.map((token, index) => ({ identity: asked[index]!.identity, token }))
    }
    await work({ process: citadel, grpcPort, adminPort, root: await readFile(rootFile), mint })
  } finally {
    await citadel.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
