import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLifecycle } from '@weft/service/lifecycle'
import { createLogger } from '@weft/service/logger'
import { onTestFinished } from 'vitest'
import { startMixer } from '../../service.ts'

interface RunningMixer {
  /** `host:port` without TLS. */
  readonly grpc: string
  /** URL of the admin server. */
  readonly admin: string
}

/** A Mixer with this configuration (YAML), which ends with the test that runs. */
export async function runMixer(config: string): Promise<RunningMixer> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-mixer-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'config.yaml'), config)
  const logger = createLogger('test', 'silent')
  const lifecycle = createLifecycle('mixer', logger)
  onTestFinished(() => lifecycle.stop('end of test'))
  const address = '127.0.0.1:0'
  const { plaintextGrpc, admin } = await startMixer(
    { plaintextGrpcAddress: address, adminAddress: address, configDir: [folder], defaults: true, logLevel: 'silent' },
    logger,
    lifecycle,
  )
  return { grpc: plaintextGrpc ?? '', admin }
}
