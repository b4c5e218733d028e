import { WeftError } from '@weft/service/errors'
import type { MeshFolder } from './folder.ts'

/**
 * Where everything of a mesh listens. A mesh owns 127.m.0.0/16: the control plane is in 127.m.0.0/24, and each workload
 * i has 127.m.i.0/24, with its sidecar at .1, its application at .2, and the services it calls from .16 on.
 */
export const ports = {
  citadel: 15012,
  pilot: 15012,
  mixer: 9091,
  /** The admin server of a control-plane service. */
  admin: 15014,
  /** The admin server of a proxy. */
  proxyAdmin: 15000,
} as const

export const trustDomain = 'cluster.local'
export const systemNamespace = 'istio-system'

/** The last workload's number; .255 stays free. */
export const mostInstances = 250
export const mostMixerReplicas = 16
const firstServiceOctet = 16
const lastServiceOctet = 250

export const citadelHost = (octet: number): string => `127.${octet}.0.2`
export const pilotHost = (octet: number): string => `127.${octet}.0.3`
export const mixerHost = (octet: number, replica: number): string => `127.${octet}.0.${16 + replica}`
export const sidecarHost = (octet: number, instance: number): string => `127.${octet}.${instance}.1`
export const applicationHost = (octet: number, instance: number): string => `127.${octet}.${instance}.2`
export const workloadPrefix = (octet: number, instance: number): string => `127.${octet}.${instance}`

/** The SPIFFE identity of a service account. */
export const identityOf = (namespace: string, serviceAccount: string): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`

/**
 * The last octet of each service's address inside a workload's network: the same in all, by the order of the names, so
 * that an address stays when the mesh starts again.
 */
export function serviceOctets(folder: Pick<MeshFolder, 'path' | 'services'>): Record<string, number> {
  const hosts = [...new Set(folder.services.map((service) => service.host))].filter((host) => !host.includes('*')).sort()
  const room = lastServiceOctet - firstServiceOctet + 1
  if (hosts.length > room) {
    throw new WeftError('resource_exhausted', `${folder.path} holds ${hosts.length} services; a local mesh has room for ${room}`)
  }
  return Object.fromEntries(hosts.map((host, index) => [host, firstServiceOctet + index]))
}

/** The host of a service called by a short name from a namespace: `reviews`, `reviews.default`, or the whole name. */
export function resolveService(name: string, namespace: string, octets: Record<string, number>): number | undefined {
  const candidates = [name, `${name}.${namespace}.svc.cluster.local`, `${name}.svc.cluster.local`]
  for (const host of candidates) if (Object.hasOwn(octets, host)) return octets[host]
  return undefined
}
