import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { bagOf } from '@weft/attributes/bag'
import { encodeAttributes } from '@weft/attributes/encoding'
import { CheckRequest } from '@weft/contracts/istio/mixer/v1/check'
import { MixerClient } from '@weft/contracts/istio/mixer/v1/mixer'
import { unary } from '@weft/service/grpc'
import { until } from '@weft/service/testing/until'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startRealRedis } from './adapters/redisquota/real-redis.ts'

const main = resolve(import.meta.dirname, 'main.ts')

let dir: string
const running: RunningMixer[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-mixer-'))
  await mkdir(join(dir, 'config'))
  await mkdir(join(dir, 'adapters'))
})

afterEach(async () => {
  for (const mixer of running.splice(0)) await mixer.stop()
  await rm(dir, { recursive: true, force: true })
})

interface RunningMixer {
  log(): string
  admin: string
  /** The status and message of a check. */
  check(attributes: Parameters<typeof bagOf>[0]): Promise<{ code: number; message: string }>
  quota(name: string): Promise<number | undefined>
  stop(): Promise<number | null>
}

function launch(args: string[]): { child: ChildProcess; log: () => string } {
  const child = spawn(process.execPath, [main, '--admin-address', '127.0.0.1:0', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return { child, log: () => text }
}

/** A Mixer process over the test's folders. */
async function startMixer(...args: string[]): Promise<RunningMixer> {
  const folders = ['--config-dir', join(dir, 'config'), '--adapter-dir', join(dir, 'adapters')]
  const { child, log } = launch(['--plaintext-grpc-address', '127.0.0.1:0', ...folders, ...args])
  await until(() => {
    if (child.exitCode !== null) throw new Error(log())
    return log().includes('"mixer started"')
  }, 'Mixer to listen')
  const listening =
    log()
      .split('\n')
      .find((line) => line.includes('"listening"')) ?? '{}'
  const { plaintextGrpc, admin } = JSON.parse(listening) as { plaintextGrpc: string; admin: string }
  const client = new MixerClient(plaintextGrpc, credentials.createInsecure())
  const mixer: RunningMixer = {
    log,
    admin,
    async check(attributes) {
      const request = CheckRequest.create({ attributes: encodeAttributes(bagOf(attributes)) })
      const { precondition } = await unary(client.check.bind(client), request, 5_000)
      return { code: precondition?.status?.code ?? -1, message: precondition?.status?.message ?? '' }
    },
    async quota(name) {
      const request = CheckRequest.create({
        attributes: encodeAttributes(bagOf({})),
        quotas: { [name]: { amount: 1, bestEffort: false } },
      })
      return (await unary(client.check.bind(client), request, 5_000)).quotas[name]?.grantedAmount
    },
    async stop() {
      client.close()
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
      return child.exitCode
    },
  }
  running.push(mixer)
  return mixer
}

/** The code blocks of the documentation that name a file, by that name. */
async function documented(): Promise<Map<string, string>> {
  const page = await readFile(resolve(import.meta.dirname, '../../../docs/mixer.md'), 'utf8')
  const blocks = page.matchAll(/```(?:ts|yaml)\n(?:\/\/|#) (\S+)\n([\s\S]*?)```/g)
  return new Map([...blocks].map((block) => [block[1] ?? '', block[2] ?? '']))
}

describe('a Mixer process', () => {
  it('runs the adapter of the documentation, and takes over its changes', async () => {
    const files = await documented()
    const adapter = files.get('adapters/maintenance.ts') ?? ''
    const config = files.get('config/maintenance.yaml') ?? ''
    await writeFile(join(dir, 'adapters/maintenance.ts'), adapter)
    await writeFile(join(dir, 'config/maintenance.yaml'), config)
    const mixer = await startMixer()
    const message = () => mixer.check({ 'request.path': '/cart' }).then((status) => status.message)
    expect(await mixer.check({ 'request.path': '/' })).toEqual({ code: 0, message: '' })
    expect(await message()).toBe('close.istio-system/shop.handler.istio-system: closed for maintenance')

    await writeFile(join(dir, 'adapters/maintenance.ts'), adapter.replace('closed for maintenance', 'back soon'))
    await until(async () => (await message()).endsWith(': back soon'), 'the new adapter')

    // One that does not load, and one that throws.
    await writeFile(join(dir, 'adapters/maintenance.ts'), 'export default {{{')
    await until(() => /maintenance\.ts.*(Unexpected|Expected)/.test(mixer.log()), 'the error')
    expect(await message()).toMatch(/: back soon$/)
    await writeFile(join(dir, 'adapters/maintenance.ts'), adapter.replace("deny('closed for maintenance')", "JSON.parse('{')"))
    await until(async () => (await message()) === '', 'the failing adapter')
    const metrics = await (await fetch(`${mixer.admin}/metrics`)).text()
    expect(metrics).toMatch(
      /mixer_handler_errors_total\{handler="shop\.handler\.istio-system",adapter="maintenance",code="internal"\} [1-9]/,
    )

    await writeFile(join(dir, 'config/maintenance.yaml'), config.replace('[/cart]', 'everything'))
    await until(() => /maintenance\.yaml:6: spec\.params\.closed: /.test(mixer.log()), 'the refusal')
    expect(await mixer.stop()).toBe(0)
  })

  it('takes an adapter that comes later, and says so of one that is gone', async () => {
    const files = await documented()
    await writeFile(join(dir, 'config/maintenance.yaml'), files.get('config/maintenance.yaml') ?? '')
    const mixer = await startMixer()
    expect(mixer.log()).toMatch(/maintenance\.yaml:5: spec\.compiledAdapter: there is no adapter 'maintenance'/)
    await writeFile(join(dir, 'adapters/maintenance.ts'), files.get('adapters/maintenance.ts') ?? '')
    await until(async () => (await mixer.check({ 'request.path': '/cart' })).code === 7, 'the adapter')
    await rm(join(dir, 'adapters/maintenance.ts'))
    await until(async () => (await mixer.check({ 'request.path': '/cart' })).code === 0, 'the adapter to go')
  })

  it('goes on without Redis: one error names the handler and what to do, everything else works', async () => {
    await writeFile(
      join(dir, 'config/quota.yaml'),
      `apiVersion: config.istio.io/v1alpha2
kind: redisquota
metadata: { name: limits, namespace: istio-system }
spec: { quotas: [{ name: requests.quota.istio-system, maxAmount: 2, validDuration: 60s }] }
---
apiVersion: config.istio.io/v1alpha2
kind: quota
metadata: { name: requests, namespace: istio-system }
spec: {}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: limit, namespace: istio-system }
spec: { actions: [{ handler: limits.redisquota, instances: [requests.quota] }] }
`,
    )
    const mixer = await startMixer('--redis-url', 'redis://127.0.0.1:1')
    expect(await mixer.quota('requests')).toBe(1)
    expect(mixer.log()).toMatch(/limits\.redisquota\.istio-system: Redis at 127\.0\.0\.1:1 cannot be used: .*start Redis/)
    expect(mixer.log().match(/Redis at 127\.0\.0\.1:1 cannot be used/g)).toHaveLength(1)
    expect(await (await fetch(`${mixer.admin}/metrics`)).text()).toContain(
      'mixer_handler_up{handler="limits.redisquota.istio-system"} 0',
    )

    const redis = await startRealRedis()
    if (redis === undefined)
      return console.log('skipped: no redis-server on the PATH, so two Mixers over one Redis are not tried')
    try {
      const mixers = [await startMixer('--redis-url', redis.url), await startMixer('--redis-url', redis.url)]
      const granted = await Promise.all(Array.from({ length: 20 }, (_, index) => mixers[index % 2]?.quota('requests')))
      expect(granted.filter((amount) => amount === 1)).toHaveLength(2)
    } finally {
      await redis.kill()
    }
  })

  it.each([
    [[], /Mixer has nothing to listen on .*--plaintext-grpc-address/],
    [['--grpc-address', '127.0.0.1:0'], /there is no certificate for it .*--join-token-file/],
    [['--plaintext-grpc-address', '127.0.0.1:0', '--adapter-dir', '/none'], /the adapter folder \/none cannot be read/],
  ])('ends with one clear line for flags %j', async (args, message) => {
    const { child, log } = launch(args)
    await once(child, 'exit')
    expect(child.exitCode).toBe(1)
    expect(log()).toMatch(message)
  })
})
