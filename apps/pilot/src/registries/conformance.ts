import { expect, test, vi } from 'vitest'
import { joinEndpoints } from '../model/join-endpoints.ts'
import { serviceKey } from '../model/service.ts'
import type { Registry } from './registry.ts'

/** A service of a platform, in words that every platform has. */
export interface PlatformService {
  name: string
  port: { name: string; number: number }
  /** Its instances: address, port and labels. */
  instances: { name: string; address: string; port: number; labels: Record<string, string> }[]
}

/** How the suite drives a platform, real or faked: each registry's test makes one. */
export interface Platform {
  /** Makes the platform hold exactly these services; resolves when it has taken them. */
  set(services: readonly PlatformService[]): Promise<void>
  /** Opens a registry on it. */
  open(): Promise<Registry>
  /** Ends and brings back the platform; undefined where there is nothing that can go away. */
  outage: { begin(): Promise<void>; end(): Promise<void> } | undefined
  close(): Promise<void>
}

/** For a busy machine, or a slow platform. */
const patience = 10_000

const one: PlatformService = {
  name: 'reviews',
  port: { name: 'http', number: 9080 },
  instances: [{ name: 'reviews-v1', address: '10.0.0.1', port: 9080, labels: { app: 'reviews', version: 'v1' } }],
}
const two: PlatformService = {
  ...one,
  instances: [
    ...one.instances,
    { name: 'reviews-v2', address: '10.0.0.2', port: 9081, labels: { app: 'reviews', version: 'v2' } },
  ],
}
const other: PlatformService = {
  name: 'ratings',
  port: { name: 'grpc', number: 7070 },
  instances: [{ name: 'ratings-v1', address: '10.0.0.3', port: 7070, labels: { app: 'ratings' } }],
}

/** What a registry knows, in comparable words: `name port protocol address:port version`. */
function known(registry: Registry): string[] {
  const { services, workloads } = registry.contents
  const sets = joinEndpoints(services, workloads, new Map(), 1)
  return services
    .flatMap(({ service }) =>
      service.ports.flatMap((port) => {
        const endpoints = sets.get(serviceKey(service.namespace, service.host))?.byPort.get(port.number) ?? []
        const places = endpoints.map(({ address, port: at, workload }) => `${address}:${at} ${workload.labels['version'] ?? '-'}`)
        return [`${service.name} ${port.number} ${port.protocol} ${places.sort().join(', ')}`]
      }),
    )
    .sort()
}

/** What every registry has to do, whichever platform it speaks to. `describe` a registry and call this in it. */
export function registryConformance(makePlatform: () => Promise<Platform>): void {
  async function using(
    services: readonly PlatformService[],
    run: (registry: Registry, platform: Platform) => Promise<void>,
  ): Promise<void> {
    const platform = await makePlatform()
    await platform.set(services)
    const registry = await platform.open()
    try {
      await vi.waitFor(() => expect(registry.state.synced).toBe(true), patience)
      await run(registry, platform)
    } finally {
      await registry.close()
      await platform.close()
    }
  }

  test('knows the services that are there when it opens, with ports, protocols, endpoints and labels', async () => {
    await using([two, other], async (registry) => {
      expect(known(registry)).toEqual([
        'ratings 7070 grpc 10.0.0.3:7070 -',
        'reviews 9080 http 10.0.0.1:9080 v1, 10.0.0.2:9081 v2',
      ])
    })
  })

  test('tells of a new endpoint, one that is gone, a new service and one that is gone', async () => {
    await using([one], async (registry, platform) => {
      let told = 0
      const stop = registry.subscribe(() => void told++)
      await platform.set([two])
      await vi.waitFor(() => expect(known(registry)).toEqual(['reviews 9080 http 10.0.0.1:9080 v1, 10.0.0.2:9081 v2']), patience)
      await platform.set([one, other])
      await vi.waitFor(() =>
        expect(known(registry)).toEqual(['ratings 7070 grpc 10.0.0.3:7070 -', 'reviews 9080 http 10.0.0.1:9080 v1']),
      )
      await platform.set([other])
      await vi.waitFor(() => expect(known(registry)).toEqual(['ratings 7070 grpc 10.0.0.3:7070 -']), patience)
      expect(told).toBeGreaterThanOrEqual(3)
      stop()
    })
  })

  test('an unchanged service and workload stay the very objects they were', async () => {
    await using([one], async (registry, platform) => {
      const before = registry.contents
      await platform.set([one, other])
      await vi.waitFor(() => expect(registry.contents.services).toHaveLength(2), patience)
      expect(registry.contents.services).toContain(before.services[0])
      expect(registry.contents.workloads).toEqual(expect.arrayContaining([...before.workloads]))
    })
  })

  test('tells nothing when nothing changed, and nothing after its subscriber left', async () => {
    await using([one], async (registry, platform) => {
      let told = 0
      const stop = registry.subscribe(() => void told++)
      await platform.set([one])
      await platform.set([two])
      await vi.waitFor(() => expect(known(registry)[0]).toContain('10.0.0.2'), patience)
      expect(told).toBe(1)
      stop()
      await platform.set([one])
      await vi.waitFor(() => expect(known(registry)[0]).not.toContain('10.0.0.2'), patience)
      expect(told).toBe(1)
    })
  })

  test('keeps its last answer while the platform is away, says so, and reconciles on return', async ({ skip }) => {
    await using([one], async (registry, platform) => {
      if (platform.outage === undefined) return skip('this platform has nothing that goes away')
      await platform.outage.begin()
      await vi.waitFor(() => expect(registry.state.problem).toBeDefined(), patience)
      expect(known(registry)).toEqual(['reviews 9080 http 10.0.0.1:9080 v1'])
      await platform.set([two])
      await platform.outage.end()
      await vi.waitFor(() => expect(known(registry)[0]).toContain('10.0.0.2'), patience)
      expect(registry.state.problem).toBeUndefined()
    })
  })
}
