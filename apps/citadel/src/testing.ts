import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdentity, type Identity, type IdentityOptions } from '@weft/identity/client'
import { Readiness } from '@weft/service/admin-server'
import { createLifecycle, type Lifecycle } from '@weft/service/lifecycle'
import { createLogger, type Logger } from '@weft/service/logger'
import { onTestFinished } from 'vitest'
import { type CitadelFlags, startCitadel } from './service.ts'

/** A Citadel on free ports over a folder of its own, for tests. */
export interface TestCitadel {
  grpc: string
  admin: string
  dataDir: string
  rootCertFile: string
  lifecycle: Lifecycle
  mint(identity: string, ttlSeconds?: number): Promise<string>
  metric(name: string): Promise<number>
  /** Stops it and starts another over the same folder. */
  restart(flags?: Partial<CitadelFlags>): Promise<TestCitadel>
}

const silent: Logger = createLogger('test', 'silent')

/** A folder that goes with the test that asks for it. */
export async function testFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function startTestCitadel(folder: string, flags: Partial<CitadelFlags> = {}): Promise<TestCitadel> {
  const lifecycle = createLifecycle('citadel', silent)
  const dataDir = join(folder, 'data')
  const rootCertFile = join(folder, 'root.pem')
  const options: CitadelFlags = {
    grpcAddress: '127.0.0.1:0',
    adminAddress: '127.0.0.1:0',
    dataDir,
    trustDomain: 'cluster.local',
    rootCertFile,
    dnsName: [],
    jwtAudience: [],
    kubernetesAudience: ['istio-ca'],
    nomadIssuer: '',
    nomadAudience: ['weft'],
    logLevel: 'silent',
    ...flags,
  }
  const { grpc, admin } = await startCitadel(options, silent, lifecycle)
  return {
    grpc,
    admin,
    dataDir,
    rootCertFile,
    lifecycle,
    async mint(identity, ttlSeconds = 3600) {
      const operator = (await readFile(join(dataDir, 'operator.token'), 'utf8')).trim()
      const response = await fetch(`${admin}/v1/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${operator}`, 'content-type': 'application/json' },
        body: JSON.stringify({ tokens: [{ identity, ttlSeconds }] }),
      })
      const text = await response.text()
      const token = /"token":"([^"]+)"/.exec(text)?.[1]
      if (token === undefined) throw new Error(text)
      return token
    },
    async metric(name) {
      const text = await (await fetch(`${admin}/metrics`)).text()
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `))
      return Number(line?.split(' ').at(-1) ?? Number.NaN)
    },
    async restart(more = {}) {
      await lifecycle.stop('test restarts it')
      return startTestCitadel(folder, { ...flags, ...more })
    },
  }
}

/** A service that joined, with the parts a test looks at. */
export interface Joined {
  identity: Identity
  readiness: Readiness
  lifecycle: Lifecycle
  tokenFile: string
}

export async function joinAs(
  folder: string,
  citadel: Pick<TestCitadel, 'grpc' | 'rootCertFile'>,
  token: string,
  more: Partial<IdentityOptions> = {},
): Promise<Joined> {
  const lifecycle = createLifecycle('joined', silent)
  const readiness = new Readiness()
  const tokenFile = join(folder, `token-${Math.random().toString(36).slice(2)}`)
  await writeFile(tokenFile, token, { mode: 0o600 })
  const identity = createIdentity({
    citadelAddress: citadel.grpc,
    rootCertFile: citadel.rootCertFile,
    joinTokenFile: tokenFile,
    logger: silent,
    lifecycle,
    readiness,
    ...more,
  })
  return { identity, readiness, lifecycle, tokenFile }
}
