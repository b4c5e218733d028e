import type { TypedObject } from '@weft/config/objects'
import { commonHost, hostMatches, selects } from '../model/host.ts'
import type { Service } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { exportedTo } from './export-to.ts'
import type { ProxyNode } from './proxy-node.ts'
import type { EgressScope } from './scope.ts'

type VirtualServiceObject = TypedObject<'VirtualService'>

/** The Sidecar that holds for a proxy: one that selects it, its namespace's, the root namespace's. */
export function sidecarFor(snapshot: Snapshot, proxy: ProxyNode): TypedObject<'Sidecar'> | undefined {
  if (proxy.type !== 'sidecar') return undefined
  const selectorOf = (sidecar: TypedObject<'Sidecar'>): Readonly<Record<string, string>> =>
    sidecar.spec.workloadSelector?.labels ?? {}
  const selecting = (sidecar: TypedObject<'Sidecar'>): boolean => Object.keys(selectorOf(sidecar)).length > 0
  const own = snapshot.sidecars.filter(({ metadata }) => metadata.namespace === proxy.namespace)
  return (
    own.find((sidecar) => selecting(sidecar) && selects(selectorOf(sidecar), proxy.labels)) ??
    own.find((sidecar) => !selecting(sidecar)) ??
    snapshot.sidecars.find((sidecar) => sidecar.metadata.namespace === snapshot.mesh.rootNamespace && !selecting(sidecar))
  )
}

/** Services exported to a namespace; of the same host in several namespaces the viewer's own, then the oldest. */
export function visibleServices(snapshot: Snapshot, namespace: string): Service[] {
  const chosen = new Map<string, Service>()
  for (const service of snapshot.services) {
    if (!exportedTo(service.exportTo, snapshot.mesh.defaultServiceExportTo, service.namespace, namespace)) continue
    const other = chosen.get(service.host)
    if (other === undefined || (other.namespace !== namespace && service.namespace === namespace))
      chosen.set(service.host, service)
  }
  return [...chosen.values()]
}

/** VirtualServices for the traffic of sidecars that are exported to a namespace. */
function visibleVirtualServices(snapshot: Snapshot, namespace: string): VirtualServiceObject[] {
  const { defaultVirtualServiceExportTo } = snapshot.mesh
  return snapshot.virtualServices.filter(
    ({ spec, metadata }) =>
      spec.gateways.includes('mesh') && exportedTo(spec.exportTo, defaultVirtualServiceExportTo, metadata.namespace, namespace),
  )
}

const captureModes: readonly EgressScope['captureMode'][] = ['DEFAULT', 'IPTABLES', 'NONE']

/** What a proxy's traffic may reach, by egress listener of its Sidecar; without one, everything through one. */
export function egressScopes(snapshot: Snapshot, namespace: string, sidecar: TypedObject<'Sidecar'> | undefined): EgressScope[] {
  const services = visibleServices(snapshot, namespace)
  const virtualServices = visibleVirtualServices(snapshot, namespace)
  const whole: EgressScope = { port: undefined, bind: '', captureMode: 'DEFAULT', services, virtualServices }
  if (sidecar === undefined || sidecar.spec.egress.length === 0) return [whole]
  return sidecar.spec.egress.map((listener) => {
    const patterns = listener.hosts.map((host) => parsePattern(host, sidecar.metadata.namespace))
    const port = listener.port?.number ? listener.port : undefined
    const chosenVirtual = virtualServices.filter(({ spec, metadata }) =>
      spec.hosts.some((host) =>
        patterns.some((pattern) => covers(pattern, metadata.namespace) && commonHost(pattern.host, host) !== undefined),
      ),
    )
    const named = services.filter((service) =>
      patterns.some((pattern) => covers(pattern, service.namespace) && hostMatches(pattern.host, service.host)),
    )
    return {
      port: port && { number: port.number, protocol: port.protocol, name: port.name },
      bind: listener.bind,
      captureMode: captureModes[listener.captureMode] ?? 'DEFAULT',
      services: withDestinations(named, chosenVirtual, services).filter(
        (service) => port === undefined || service.ports.some(({ number }) => number === port.number) || named.length === 0,
      ),
      virtualServices: chosenVirtual,
    }
  })
}

interface Pattern {
  /** `*`, a namespace, or `~` for none. */
  namespace: string
  host: string
}

function parsePattern(text: string, own: string): Pattern {
  const slash = text.indexOf('/')
  const namespace = slash < 0 ? '*' : text.slice(0, slash)
  return { namespace: namespace === '.' ? own : namespace, host: text.slice(slash + 1) }
}

function covers({ namespace }: Pattern, other: string): boolean {
  return namespace === '*' || namespace === other
}

/** A VirtualService that is seen brings the services it leads to, where they are exported here. */
function withDestinations(
  services: readonly Service[],
  virtualServices: readonly VirtualServiceObject[],
  visible: readonly Service[],
): Service[] {
  const hosts = new Set(services.map(({ host }) => host))
  const wanted = new Set<string>()
  for (const { spec } of virtualServices) {
    for (const route of [...spec.http, ...spec.tls, ...spec.tcp]) {
      for (const { destination } of route.route)
        if (destination !== undefined && !hosts.has(destination.host)) wanted.add(destination.host)
    }
    for (const { mirror, mirrors } of spec.http) {
      for (const destination of [mirror, ...mirrors.map((one) => one.destination)]) {
        if (destination !== undefined && !hosts.has(destination.host)) wanted.add(destination.host)
      }
    }
  }
  return wanted.size === 0 ? [...services] : [...services, ...visible.filter(({ host }) => wanted.has(host))]
}
