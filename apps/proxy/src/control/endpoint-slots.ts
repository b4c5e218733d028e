import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { cell, type EndpointSlab, healthFlag } from '../upstream/endpoint-slab.ts'

/** HealthStatus of the API, as far as it means something here. */
const status = { unhealthy: 2, draining: 3, timeout: 4, degraded: 5 } as const

/** How long a slot of an endpoint that is gone stays its own: requests on their way still count in it. */
const restMs = 30_000

/** The key of an endpoint: `address:port` (IPv6 in brackets), or its pipe's path; undefined without an address. */
export function endpointKey(endpoint: LbEndpoint): string | undefined {
  const host = endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value : undefined
  const address = host?.address?.address
  if (address?.$case === 'pipe') return address.value.path
  if (address?.$case !== 'socketAddress') return undefined
  const { address: text, portSpecifier } = address.value
  const port = portSpecifier?.$case === 'portValue' ? portSpecifier.value : 0
  return text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`
}

/** The slots of one cluster's endpoints in the shared slab, and those of its circuit breakers. */
export class EndpointSlots {
  readonly #slab: EndpointSlab
  readonly #byKey = new Map<string, number>()
  readonly breakers: Record<string, number>
  readonly #resting = new Set<NodeJS.Timeout>()
  #closed = false
  /** How many endpoints have come, those that went again too. */
  came = 0

  constructor(slab: EndpointSlab) {
    this.#slab = slab
    this.breakers = { default: slab.allocate(), high: slab.allocate() }
  }

  get keys(): ReadonlyMap<string, number> {
    return this.#byKey
  }

  /**
   * `check`: whether new endpoints count as failed until their first check, and as not there at all.
   * Gives each endpoint of an assignment its slot, with what the assignment says of its health; others rest, then go.
   */
  assign(assignment: ClusterLoadAssignment, check: 'unchecked' | 'checked' | 'ignored-until-checked'): Record<string, number> {
    const slots: Record<string, number> = {}
    for (const locality of assignment.endpoints) {
      for (const endpoint of locality.lbEndpoints) {
        const key = endpointKey(endpoint)
        if (key === undefined) continue
        let slot = this.#byKey.get(key)
        if (slot === undefined) {
          slot = this.#slab.allocate()
          this.#byKey.set(key, slot)
          this.came++
          if (check !== 'unchecked') this.#slab.setHealth(slot, healthFlag.failedActiveCheck, true)
          if (check === 'ignored-until-checked') this.#slab.setHealth(slot, healthFlag.pendingActiveCheck, true)
        }
        slots[key] = slot
        const health = endpoint.healthStatus
        this.#slab.setHealth(slot, healthFlag.failedEdsHealth, health === status.unhealthy || health === status.timeout)
        this.#slab.setHealth(slot, healthFlag.draining, health === status.draining)
        this.#slab.setHealth(slot, healthFlag.degradedEdsHealth, health === status.degraded)
      }
    }
    for (const [key, slot] of this.#byKey) {
      if (slots[key] !== undefined) continue
      this.#byKey.delete(key)
      this.#rest(slot)
    }
    return slots
  }

  /** Gives everything back, after a rest. */
  close(): void {
    this.#closed = true
    for (const slot of [...this.#byKey.values(), ...Object.values(this.breakers)]) this.#rest(slot)
    this.#byKey.clear()
  }

  get closed(): boolean {
    return this.#closed
  }

  #rest(slot: number): void {
    const timer = setTimeout(() => {
      this.#resting.delete(timer)
      const busy = this.#slab.get(slot, cell.activeRequests) > 0 || this.#slab.get(slot, cell.activeConnections) > 0
      if (busy) this.#rest(slot)
      else this.#slab.release(slot)
    }, restMs)
    timer.unref()
    this.#resting.add(timer)
  }
}
