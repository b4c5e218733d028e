import { createHash } from 'node:crypto'
import type { Service } from '../../model/service.ts'
import type { Loopback } from '../../scope/proxy-node.ts'

/** The first octet that stands for a service; those below are the workload's own addresses. */
const firstOctet = 16
const lastOctet = 254

/**
 * The address at which a sidecar that catches nothing listens for a service: as the node says, else one that follows
 * from the host's hash, so that it stays the same as services come and go. Of two hosts with the same place the one
 * that sorts later moves on to the next free one. Services beyond the room there is have none.
 */
export function loopbackAddresses(
  loopback: Extract<Loopback, { type: 'sidecar' }>,
  services: readonly Service[],
): ReadonlyMap<string, string> {
  const octets = new Map<string, number>()
  const taken = new Set<number>()
  for (const [host, octet] of Object.entries(loopback.services)) {
    if (!Number.isInteger(octet) || octet < firstOctet || octet > lastOctet) continue
    octets.set(host, octet)
    taken.add(octet)
  }
  const room = lastOctet - firstOctet + 1
  for (const host of services.map((service) => service.host).sort()) {
    if (octets.has(host)) continue
    const start = createHash('sha1').update(host).digest().readUInt16BE(0) % room
    for (let step = 0; step < room; step++) {
      const octet = firstOctet + ((start + step) % room)
      if (taken.has(octet)) continue
      taken.add(octet)
      octets.set(host, octet)
      break
    }
  }
  return new Map([...octets].map(([host, octet]) => [host, `${loopback.prefix}.${octet}`]))
}
