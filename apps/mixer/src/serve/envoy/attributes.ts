import { MutableBag } from '@weft/attributes/bag'
import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import type { Address } from '@weft/contracts/envoy/config/core/v3/address'

/** Attributes as they are found in what Envoy sends: what is absent or empty is left out. */
export class FoundAttributes {
  readonly bag = new MutableBag()

  set(name: string, value: AttributeValue | undefined): void {
    if (value !== undefined && value !== '') this.bag.set(name, value)
  }

  map(name: string, entries: Readonly<Record<string, string>>): void {
    const map = new Map(Object.entries(entries))
    if (map.size > 0) this.bag.set(name, map)
  }

  address(side: 'source' | 'destination', address: Address | undefined): void {
    const socket = address?.address?.$case === 'socketAddress' ? address.address.value : undefined
    if (socket === undefined) return
    this.set(`${side}.ip`, parseIp(socket.address))
    const port = socket.portSpecifier?.$case === 'portValue' ? socket.portSpecifier.value : 0
    if (port > 0) this.set(`${side}.port`, BigInt(port))
  }

  /** A principal, without the scheme of its SPIFFE id, and the namespace that it names. */
  principal(side: 'source' | 'destination', principal: string): void {
    const name = principal.replace(/^spiffe:\/\//, '')
    this.set(`${side}.principal`, name)
    this.set(`${side}.user`, name)
    if (!this.has(`${side}.namespace`)) this.set(`${side}.namespace`, /\/ns\/([^/]+)/.exec(name)?.[1])
  }

  /** A service by its host: `reviews.default.svc.cluster.local`. */
  destinationService(host: string): void {
    const [name, namespace, svc] = host.split('.')
    this.set('destination.service.host', host)
    this.set('destination.service', host)
    this.set('destination.service.name', name)
    if (svc !== 'svc') return
    this.set('destination.service.namespace', namespace)
    if (!this.has('destination.namespace')) this.set('destination.namespace', namespace)
  }

  has(name: string): boolean {
    return this.bag.get(name) !== undefined
  }
}

/** What `outbound|9080|v1|reviews.default.svc.cluster.local` says; undefined for a cluster that Pilot did not name. */
export function parseClusterName(cluster: string): { direction: string; host: string } | undefined {
  const [direction, , , host] = cluster.split('|')
  return (direction === 'inbound' || direction === 'outbound') && host !== undefined ? { direction, host } : undefined
}
