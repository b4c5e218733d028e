import assert from 'node:assert/strict'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { type Service, serviceKey } from '../../model/service.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { Snapshots } from '../../model/snapshots.ts'
import type { Endpoint } from '../../model/workload.ts'
import { followRegistries } from '../follow.ts'
import type { Registry } from '../registry.ts'
import type { Platform, PlatformService } from './platform.ts'
import { openRelay, type Relay } from './relay.ts'

/** For a busy machine, or a slow platform. */
const patienceMs = 60_000

/** One registry on one platform, and Pilot's model of it: what a behaviour of the suite is tried on. */
export class UnderTest {
  readonly platform: Platform
  /** Before the platform, where it is spoken to over a network. */
  readonly relay: Relay | undefined
  readonly registry: Registry
  readonly snapshots: Snapshots
  /** How long single changes took from before the platform was told until Pilot's model had them, in ms. */
  readonly latencies: number[]
  readonly #stop: () => void

  private constructor(platform: Platform, relay: Relay | undefined, registry: Registry, latencies: number[]) {
    this.platform = platform
    this.relay = relay
    this.registry = registry
    this.latencies = latencies
    this.snapshots = new Snapshots(defaultMeshSettings, [registry])
    this.#stop = followRegistries([registry], () => void this.snapshots.rebuild())
    this.snapshots.rebuild()
  }

  /** Opens a registry on a platform that holds `services`; with `before`, the relay may be made to misbehave first. */
  static async open(
    platform: Platform,
    services: readonly PlatformService[],
    latencies: number[] = [],
    before?: (relay: Relay) => void,
  ): Promise<UnderTest> {
    await platform.set(services)
    const relay = platform.target === undefined ? undefined : await openRelay(platform.target)
    if (relay !== undefined) before?.(relay)
    const registry = await platform.open(relay)
    const it = new UnderTest(platform, relay, registry, latencies)
    try {
      if (before === undefined) await it.until(() => registry.state.synced, 'the registry to have its first answer')
    } catch (error) {
      // It would go on asking, and take the connections of those that come after it.
      await it.close()
      throw error
    }
    // What it told of is gathered for some ms before it is in the model.
    it.snapshots.rebuild()
    return it
  }

  async close(): Promise<void> {
    this.#stop()
    await this.registry.close()
    await this.relay?.close()
  }

  /** The relay; throws where there is none. */
  get wire(): Relay {
    assert.ok(this.relay !== undefined, 'this platform is not spoken to over a network')
    return this.relay
  }

  get snapshot(): Snapshot {
    return this.snapshots.current
  }

  service(name: string, namespace = 'default'): Service | undefined {
    return this.snapshot.servicesByHost.get(`${name}.${namespace}.svc.${defaultMeshSettings.domain}`)?.get(namespace)
  }

  /** The endpoints of a service's port, by address and port. */
  endpoints(name: string, port?: number, namespace = 'default'): readonly Endpoint[] {
    const service = this.service(name, namespace)
    if (service === undefined) return []
    const set = this.snapshot.endpoints.get(serviceKey(service.namespace, service.host))
    const found = set?.byPort.get(port ?? service.ports[0]?.number ?? 0) ?? []
    return [...found].sort((a, b) => (`${a.address} ${a.port}` < `${b.address} ${b.port}` ? -1 : 1))
  }

  /** The endpoints of a service's port as `address:port`, in order. */
  places(name: string, port?: number, namespace = 'default'): string[] {
    return this.endpoints(name, port, namespace).map((endpoint) => `${endpoint.address}:${endpoint.port}`)
  }

  /**
   * Waits for a condition on the model; it is looked at after each change, and now and then. Patience begins once `told` is done.
   */
  async until(condition: () => boolean, what: string, told: Promise<void> = Promise.resolve()): Promise<void> {
    if (condition()) return
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!condition()) return
        end()
        resolve()
      }
      const unsubscribe = this.snapshots.subscribe(look)
      const again = setInterval(look, 20)
      let isOver = false
      let deadline: NodeJS.Timeout | undefined
      const fail = (error: unknown): void => {
        end()
        reject(error)
      }
      const wait = (): void => {
        if (isOver) return
        deadline = setTimeout(() => {
          fail(
            new Error(`waited ${patienceMs} ms for ${what}; known: ${this.describe()}; ${JSON.stringify(this.registry.state)}`),
          )
        }, patienceMs)
      }
      const end = (): void => {
        isOver = true
        unsubscribe()
        clearInterval(again)
        clearTimeout(deadline)
      }
      told.then(wait, fail)
    })
  }

  /** Changes the platform and waits until the model shows it; the time counts for the suite's median. */
  async change(services: readonly PlatformService[], condition: () => boolean, what: string): Promise<void> {
    const startedMs = performance.now()
    const told = this.platform.set(services)
    await Promise.all([told, this.until(condition, what, told)])
    this.latencies.push(performance.now() - startedMs)
  }

  /** What the model knows, for people: `reviews.default:9080 http → 10.0.0.1:9080 …`. */
  describe(): string {
    return this.snapshot.services
      .slice(0, 8)
      .flatMap(({ name, namespace, ports }) =>
        ports.map(
          ({ number, protocol }) =>
            `${name}.${namespace}:${number} ${protocol} → ${this.places(name, number, namespace).slice(0, 8).join(' ')}`,
        ),
      )
      .join('; ')
  }
}
