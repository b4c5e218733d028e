import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ChannelCredentials, credentials } from '@grpc/grpc-js'
import { CheckRequest } from '@weft/contracts/istio/mixer/v1/check'
import { MixerClient } from '@weft/contracts/istio/mixer/v1/mixer'
import { createIdentity } from '@weft/identity/client'
import { Readiness } from '@weft/service/admin-server'
import { unary } from '@weft/service/grpc'
import { createLifecycle, type Lifecycle } from '@weft/service/lifecycle'
import { createLogger } from '@weft/service/logger'
import { until } from '@weft/service/testing/until'
import { afterEach, beforeEach, expect, it } from 'vitest'

const mixerIdentity = 'spiffe://cluster.local/ns/istio-system/sa/mixer'
const logger = createLogger('test', 'silent')

let dir: string
let lifecycle: Lifecycle
const children: ChildProcess[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-mixer-mtls-'))
  lifecycle = createLifecycle('test', logger)
})

afterEach(async () => {
  await lifecycle.stop('end of test')
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }
  await rm(dir, { recursive: true, force: true })
})

/** Starts a service of the mesh; gives what it says it listens on. */
async function startService(app: string, args: string[]): Promise<{ grpc: string; admin: string }> {
  const main = resolve(import.meta.dirname, `../../${app}/src/main.ts`)
  const child = spawn(process.execPath, [main, '--grpc-address', '127.0.0.1:0', '--admin-address', '127.0.0.1:0', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  let log = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  await until(() => {
    if (child.exitCode !== null) throw new Error(log)
    return log.includes('"listening"')
  }, `${app} to listen`)
  return JSON.parse(log.split('\n').find((line) => line.includes('"listening"')) ?? '{}') as { grpc: string; admin: string }
}

it('serves callers of the mesh over mTLS with a certificate from Citadel, and nobody else', async () => {
  const rootCertFile = join(dir, 'root.pem')
  const citadel = await startService('citadel', ['--data-dir', join(dir, 'citadel'), '--root-cert-file', rootCertFile])
  const operator = (await readFile(join(dir, 'citadel/operator.token'), 'utf8')).trim()
  const joinAs = async (account: string): Promise<string> => {
    const identity = `spiffe://cluster.local/ns/${account}`
    const response = await fetch(`${citadel.admin}/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operator}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tokens: [{ identity, ttlSeconds: 600 }] }),
    })
    const file = join(dir, account.replaceAll('/', '-'))
    await writeFile(file, /"token":"([^"]+)"/.exec(await response.text())?.[1] ?? '')
    return file
  }
  const citadelFlags = ['--citadel-address', citadel.grpc, '--root-cert-file', rootCertFile]
  const mixer = await startService('mixer', [...citadelFlags, '--join-token-file', await joinAs('istio-system/sa/mixer')])
  await until(async () => (await fetch(`${mixer.admin}/healthz/ready`)).status === 200, 'Mixer to be ready')

  const check = async (channel: ChannelCredentials): Promise<number | undefined> => {
    const client = new MixerClient(mixer.grpc, channel)
    try {
      return (await unary(client.check.bind(client), CheckRequest.create({}), 3_000)).precondition?.status?.code
    } finally {
      client.close()
    }
  }
  const identity = createIdentity({
    citadelAddress: citadel.grpc,
    rootCertFile,
    joinTokenFile: await joinAs('default/sa/reviews'),
    logger,
    lifecycle,
    readiness: new Readiness(),
  })
  await identity.ready()
  expect(await check(identity.channelCredentials(mixerIdentity))).toBe(0)
  await expect(check(identity.channelCredentials('spiffe://cluster.local/ns/default/sa/other'))).rejects.toThrow()
  await expect(check(credentials.createInsecure())).rejects.toThrow()
  const withoutCertificate = credentials.createSsl(await readFile(rootCertFile), null, null, {
    checkServerIdentity: () => undefined,
  })
  await expect(check(withoutCertificate)).rejects.toThrow()
})
