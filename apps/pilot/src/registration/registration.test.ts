import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConfigObject } from '@weft/config/objects'
import { createLogger } from '@weft/service/logger'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ConfigSource } from '../sources/config-source.ts'
import { nodeOf } from '../testing/built-for.ts'
import { Registration } from './registration.ts'

const group = `
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: reviews-v2 }
spec:
  metadata: { labels: { app: reviews, version: v2 } }
  template: { ports: { http: 9080 }, serviceAccount: reviews, weight: 3, locality: eu/a }
`
let folder: string
let source: ConfigSource
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-registration-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'group.yaml'), group)
  source = await ConfigSource.open({
    folders: [folder],
    onChange: () => undefined,
    onError: (error) => expect.fail(String(error)),
  })
  onTestFinished(() => source.close())
})

const patience = { timeout: 15_000 }
const objects = (): Map<string, ConfigObject> => {
  const found = new Map<string, ConfigObject>()
  for (const [key, loaded] of source.current.objects) if (loaded.type === 'object') found.set(key, loaded.object)
  return found
}
const entries = (): string[] => [...objects().keys()].filter((key) => key.startsWith('WorkloadEntry/')).sort()
const proxy = (ip: string, metadata: Record<string, unknown> = {}) =>
  nodeOf(
    'sidecar',
    { AUTO_REGISTER_GROUP: 'reviews-v2', SERVICE_ACCOUNT: 'reviews', LABELS: { app: 'ratings' }, ...metadata },
    ip,
  )

/** `writes` counts how often something is written. */
function opened(graceMs = 1) {
  const counter = { writes: 0 }
  const registration = new Registration({
    objects,
    write: async (documents, removed) => {
      counter.writes++
      await source.apply(
        documents.map((content) => ({ name: 'registered', content })),
        removed,
      )
    },
    logger: createLogger('pilot', 'silent'),
    graceMs,
    returnMs: graceMs,
  })
  onTestFinished(() => registration.close())
  return { registration, counter }
}

describe('a proxy that names a WorkloadGroup', () => {
  it('is registered at its address with what the template says, as long as one of its streams is there', async () => {
    const { registration } = opened()
    const first = registration.connected(proxy('10.0.0.7', { NETWORK: 'east' }))
    const second = registration.connected(proxy('10.0.0.7', { NETWORK: 'east' }))
    await expect.poll(entries, patience).toEqual(['WorkloadEntry/default/reviews-v2-10.0.0.7'])
    expect(objects().get('WorkloadEntry/default/reviews-v2-10.0.0.7')).toMatchObject({
      metadata: { annotations: { 'istio.io/autoRegistrationGroup': 'reviews-v2' } },
      spec: {
        address: '10.0.0.7',
        ports: { http: 9080 },
        labels: { app: 'reviews', version: 'v2' },
        serviceAccount: 'reviews',
        weight: 3,
        locality: 'eu/a',
        network: 'east',
      },
    })
    first.end()
    const other = registration.connected(proxy('10.0.0.8'))
    other.end()
    await expect.poll(entries, patience).toEqual(['WorkloadEntry/default/reviews-v2-10.0.0.7'])
    second.end()
    await expect.poll(entries, patience).toEqual([])
    expect(await readdir(folder)).toEqual(['group.yaml'])
  })

  it('stays when it is back in time, and when Pilot starts again', async () => {
    const { registration } = opened(600_000)
    registration.connected(proxy('10.0.0.7')).end()
    registration.connected(proxy('10.0.0.7'))
    await expect.poll(entries, patience).toHaveLength(1)
    registration.close()
    const { registration: next, counter } = opened(600_000)
    next.start()
    next.connected(proxy('10.0.0.7'))
    await expect.poll(() => counter.writes, patience).toBe(1)
    expect(entries()).toHaveLength(1)
  })

  it('is forgotten when it does not come back to a Pilot that started again; what people wrote is not', async () => {
    const { registration } = opened()
    registration.connected(proxy('fd00::7'))
    await expect.poll(entries, patience).toEqual(['WorkloadEntry/default/reviews-v2-fd00--7'])
    registration.close()
    const written = `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: own }\nspec: { address: 10.0.0.1 }\n`
    await source.apply([{ name: 'own', content: written }])
    opened().registration.start()
    await expect.poll(entries, patience).toEqual(['WorkloadEntry/default/own'])
  })

  it('takes no requests while it says so', async () => {
    const { registration } = opened(600_000)
    const registered = registration.connected(proxy('10.0.0.7'))
    const status = (): unknown => objects().get('WorkloadEntry/default/reviews-v2-10.0.0.7')?.document.value['status'] ?? 'none'
    await expect.poll(entries, patience).toHaveLength(1)
    expect(status()).toBe('none')
    registered.health('it is told to stop')
    await expect.poll(status, patience).toEqual({
      conditions: [{ type: 'Healthy', status: 'False', message: 'it is told to stop' }],
    })
    registered.health(undefined)
    await expect.poll(status, patience).toBe('none')
  })

  it('takes none before its agent says that the application is ready, where the group has a probe; to another Pilot it stays so', async () => {
    const probed = `${group}  probe: { httpGet: { port: 8080 } }\n`
    await source.apply([{ name: 'group', content: probed }])
    const { registration } = opened(600_000)
    const health = (): unknown => {
      const { status } = objects().get('WorkloadEntry/default/reviews-v2-10.0.0.7')?.document.value ?? {}
      return status === undefined ? 'ready' : JSON.stringify(status)
    }
    const registered = registration.connected(proxy('10.0.0.7'))
    await expect.poll(health, patience).toMatch(/has not said yet/)
    registered.health(undefined)
    await expect.poll(health, patience).toBe('ready')
    registration.close()
    const { registration: next, counter } = opened(600_000)
    next.connected(proxy('10.0.0.7'))
    await expect.poll(() => counter.writes, patience).toBe(1)
    expect(health()).toBe('ready')
  })

  it('takes the place of who had its address before', async () => {
    const other = group.replace('reviews-v2', 'ratings').replaceAll('reviews', 'ratings')
    await source.apply([{ name: 'other', content: other }])
    const { registration } = opened(600_000)
    registration.connected(proxy('10.0.0.7')).end()
    await expect.poll(entries, patience).toEqual(['WorkloadEntry/default/reviews-v2-10.0.0.7'])
    registration.connected(proxy('10.0.0.7', { AUTO_REGISTER_GROUP: 'ratings', SERVICE_ACCOUNT: 'ratings' }))
    await expect.poll(entries, patience).toEqual(['WorkloadEntry/default/ratings-10.0.0.7'])
  })

  it('comes with many others in few writes', async () => {
    const { registration, counter } = opened(600_000)
    for (let at = 1; at <= 200; at++) registration.connected(proxy(`10.0.1.${at}`))
    await expect.poll(() => entries().length, { timeout: 60_000 }).toBe(200)
    expect(counter.writes).toBeLessThanOrEqual(3)
  }, 70_000)

  it('is refused for a group that is not there, another identity, or without an address; others are let through', () => {
    const { registration } = opened()
    expect(() => registration.connected(proxy('10.0.0.7', { AUTO_REGISTER_GROUP: 'nothing' }))).toThrow(
      /no WorkloadGroup default\/nothing/,
    )
    expect(() => registration.connected(proxy('10.0.0.7', { SERVICE_ACCOUNT: 'ratings' }))).toThrow(/service account 'reviews'/)
    expect(() => registration.connected(proxy('unix:///a'))).toThrow(/no address to register/)
    expect(() => registration.connected(proxy('10.0.0.7', { AUTO_REGISTER_GROUP: '' })).end()).not.toThrow()
    expect(entries()).toEqual([])
  })
})
