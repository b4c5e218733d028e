import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { keyOf, type TypedObject } from '@weft/config/objects'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import { protocolNamed, protocolOfPort } from '../../model/protocol.ts'
import type { Resolution, Service, ServicePort } from '../../model/service.ts'
import type { Workload } from '../../model/workload.ts'
import type { RegisteredService } from '../registry.ts'
import { workloadOfEntry } from './workloads.ts'

const exportToAnnotation = 'networking.istio.io/exportTo'
const distributionAnnotation = 'networking.istio.io/traffic-distribution'

/** A Kubernetes `v1 Service` as the mesh's service. */
export function serviceOfKubernetes(
  object: Pick<TypedObject<'Service'>, 'kind' | 'metadata' | 'spec' | 'version'>,
  mesh: MeshSettings,
): RegisteredService {
  const { spec, metadata } = object
  const ports: ServicePort[] = []
  const targetPorts = new Map<number, number | string>()
  for (const port of spec.ports ?? []) {
    const name = port.name ?? ''
    const { appProtocol, protocol: transport } = port
    ports.push({ name, number: port.port, protocol: protocolOfPort({ name, number: port.port, appProtocol, transport }) })
    targetPorts.set(port.port, port.targetPort ?? port.port)
  }
  const external = spec.type === 'ExternalName' ? (spec.externalName ?? undefined) : undefined
  const headless = spec.clusterIP === 'None'
  const addresses = [...new Set([spec.clusterIP, ...(spec.clusterIPs ?? [])])].filter(
    (ip) => typeof ip === 'string' && isIP(ip) !== 0,
  )
  const service: Service = {
    host: `${metadata.name}.${metadata.namespace}.svc.${mesh.domain}`,
    name: metadata.name,
    namespace: metadata.namespace,
    addresses: addresses.filter((ip) => ip !== undefined && ip !== null),
    ports,
    resolution: external !== undefined ? 'dns' : headless ? 'passthrough' : 'static',
    meshExternal: external !== undefined,
    headless,
    exportTo: (metadata.annotations[exportToAnnotation] ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
    subjectAltNames: [],
    prefers: preferenceOf(spec.trafficDistribution ?? metadata.annotations[distributionAnnotation]),
    nodeLocal: spec.internalTrafficPolicy === 'Local',
    labels: metadata.labels,
    createdMs: metadata.createdMs,
    origin: keyOf(object),
    version: object.version,
  }
  const selector = Object.keys(spec.selector ?? {}).length > 0 ? (spec.selector ?? undefined) : undefined
  const workloads = external === undefined ? [] : [nameAsWorkload(external, service)]
  return { service, selector: external === undefined ? selector : undefined, targetPorts, workloads }
}

/** What `trafficDistribution` asks for; other words are as if nothing was said. */
function preferenceOf(distribution: string | null | undefined): Service['prefers'] {
  switch (distribution?.toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return 'same-zone'
    case 'prefersamenode':
      return 'same-node'
    default:
      return undefined
  }
}

const resolutions: readonly Resolution[] = ['passthrough', 'static', 'dns', 'dns-round-robin', 'dynamic-dns']

/** A ServiceEntry: one service for each of its hosts, all with the same endpoints. */
export function servicesOfEntry(object: TypedObject<'ServiceEntry'>, mesh: MeshSettings): RegisteredService[] {
  const { spec, metadata } = object
  const origin = keyOf(object)
  const resolution = resolutions[spec.resolution] ?? 'passthrough'
  const workloads = spec.endpoints.map((entry, index) =>
    workloadOfEntry(entry, {
      name: `${metadata.name}~${index}`,
      namespace: metadata.namespace,
      labels: {},
      origin,
      health: 'healthy',
      trustDomain: mesh.trustDomain,
    }),
  )
  const targetPorts = new Map(
    spec.ports.filter(({ targetPort }) => targetPort > 0).map(({ number, targetPort }) => [number, targetPort]),
  )
  const version = versionWithoutEndpoints(object)
  return spec.hosts.map((host) => {
    const service: Service = {
      host,
      name: metadata.name,
      namespace: metadata.namespace,
      addresses: spec.addresses,
      ports: spec.ports.map(({ name, number, protocol }) => ({
        name,
        number,
        protocol: protocol === '' ? protocolOfPort({ name, number }) : protocolNamed(protocol),
      })),
      resolution,
      meshExternal: spec.location === 0,
      headless: false,
      exportTo: spec.exportTo,
      subjectAltNames: spec.subjectAltNames,
      prefers: preferenceOf(metadata.annotations[distributionAnnotation]),
      labels: metadata.labels,
      createdMs: metadata.createdMs,
      origin,
      version: `${version}:${host}`,
    }
    const selector = Object.keys(spec.workloadSelector?.labels ?? {}).length > 0 ? spec.workloadSelector?.labels : undefined
    const ownName = selector === undefined && workloads.length === 0 && (resolution === 'dns' || resolution === 'dns-round-robin')
    return { service, selector, targetPorts, workloads: ownName ? [nameAsWorkload(host, service)] : workloads }
  })
}

/** Changes with all of a ServiceEntry but its endpoints: that they move is no change of the service. */
function versionWithoutEndpoints({ spec, metadata }: TypedObject<'ServiceEntry'>): string {
  const { endpoints: _, ...rest } = spec
  const said = JSON.stringify([rest, metadata.labels, metadata.createdMs])
  return createHash('sha1').update(said).digest('base64url')
}

/** A DNS name that is its service's only endpoint. */
function nameAsWorkload(address: string, service: Service): Workload {
  return {
    key: `${service.namespace}/${service.name}~${address}`,
    name: `${service.name}~${address}`,
    namespace: service.namespace,
    address,
    ports: {},
    labels: {},
    serviceAccount: '',
    identity: '',
    locality: { region: '', zone: '', subZone: '' },
    network: '',
    weight: 0,
    health: 'healthy',
    tlsMode: 'disabled',
    origin: service.origin,
  }
}
