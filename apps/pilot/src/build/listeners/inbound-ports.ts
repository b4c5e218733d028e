import { keyOf as objectKeyOf } from '@weft/config/objects'
import type { ConnectionPoolSettings } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { ServerTLSSettings } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { CaptureMode, type IstioIngressListener } from '@weft/contracts/istio/networking/v1alpha3/sidecar'
import { protocolNamed } from '../../model/protocol.ts'
import type { Service, ServicePort } from '../../model/service.ts'
import type { Workload } from '../../model/workload.ts'
import { parseLocality } from '../../registries/file/workloads.ts'
import type { Instance, Scope } from '../../scope/scope.ts'

/** Where the application beside a sidecar is, for one of its ports; `original` is where the connection was going. */
export type Application =
  | { readonly type: 'address'; readonly address: string; readonly port: number }
  | { readonly type: 'pipe'; readonly path: string }
  | { readonly type: 'original' }

/** What calls one port of the workload: the services that lead there, or an ingress listener of its Sidecar. */
export interface InboundPort {
  readonly port: number
  /** The first decides what the port speaks. */
  readonly instances: readonly [Instance, ...Instance[]]
  readonly application: Application
  /** TLS that the sidecar ends for the application, where the mesh's own is off. */
  readonly tls: ServerTLSSettings | undefined
  readonly connectionPool: ConnectionPoolSettings | undefined
  /** Has a listener of its own at this address, also when connections are caught; empty: as the others. */
  readonly bind: string
  /** Of a Sidecar's ingress: the object's key. */
  readonly sidecar: string | undefined
}

const known = new WeakMap<Scope, readonly InboundPort[]>()

/** The workload's ports, each once: those of its Sidecar's ingress where there are any, else those that services lead to. */
export function inboundPorts(scope: Scope): readonly InboundPort[] {
  let ports = known.get(scope)
  if (ports === undefined) {
    const ingress = scope.sidecar?.spec.ingress ?? []
    ports = ingress.length > 0 ? ingress.flatMap((listener) => ingressPort(listener, scope)) : servicePorts(scope)
    known.set(scope, ports)
  }
  return ports
}

function servicePorts(scope: Scope): InboundPort[] {
  const ports = new Map<number, [Instance, ...Instance[]]>()
  for (const instance of scope.instances) {
    const known = ports.get(instance.endpoint.port)
    if (known === undefined) ports.set(instance.endpoint.port, [instance])
    else known.push(instance)
  }
  const address = localAddress(scope)
  return [...ports].map(([port, instances]) => ({
    port,
    instances,
    application: callsLocalhost(scope) ? { type: 'address', address, port } : { type: 'original' },
    tls: undefined,
    connectionPool: scope.sidecar?.spec.inboundConnectionPool,
    bind: '',
    sidecar: undefined,
  }))
}

/** Whether the application is called at its own address: nothing is caught, or the mesh says so. */
function callsLocalhost({ proxy, snapshot }: Scope): boolean {
  return proxy.interceptionMode === 'NONE' || snapshot.mesh.inboundTrafficPolicy === 'LOCALHOST'
}

function localAddress({ proxy }: Scope): string {
  return proxy.loopback?.type === 'sidecar' ? proxy.loopback.app : '127.0.0.1'
}

function ingressPort(listener: IstioIngressListener, scope: Scope): InboundPort[] {
  const { sidecar } = scope
  const number = listener.port?.number
  if (sidecar === undefined || number === undefined) return []
  const port: ServicePort = { name: listener.port?.name ?? '', number, protocol: protocolNamed(listener.port?.protocol ?? '') }
  const own = scope.instances.filter(({ endpoint }) => endpoint.port === number).map((instance) => ({ ...instance, port }))
  const [first, ...more] = own.length > 0 ? own : [unnamedInstance(port, scope)]
  if (first === undefined) return []
  const ownListener = listener.bind !== '' || listener.captureMode === CaptureMode.NONE
  return [
    {
      port: number,
      instances: [first, ...more],
      application: applicationOf(listener.defaultEndpoint, number, scope),
      tls: listener.tls,
      connectionPool: listener.connectionPool ?? sidecar.spec.inboundConnectionPool,
      bind: ownListener ? listener.bind || scope.proxy.ip : '',
      sidecar: objectKeyOf(sidecar),
    },
  ]
}

/** `127.0.0.1:PORT` is the application beside us, `0.0.0.0:PORT` the workload's own address, `unix://PATH` a socket. */
function applicationOf(endpoint: string, port: number, scope: Scope): Application {
  if (endpoint.startsWith('unix://')) return { type: 'pipe', path: endpoint.slice('unix://'.length) }
  const colon = endpoint.lastIndexOf(':')
  const address = endpoint.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1')
  const stated = colon < 0 ? port : Number(endpoint.slice(colon + 1))
  // Where addresses of this machine stand for workloads, the application is at its own and nowhere else.
  const isLocal = address === '' || address === '127.0.0.1' || address === '::1' || scope.proxy.loopback?.type === 'sidecar'
  if (endpoint === '' && !callsLocalhost(scope)) return { type: 'original' }
  return { type: 'address', address: isLocal ? localAddress(scope) : scope.proxy.ip, port: stated }
}

/** An ingress listener for a port that no service leads to, under the Sidecar's name. */
function unnamedInstance(port: ServicePort, { sidecar, proxy, workload, snapshot, labels }: Scope): Instance {
  const { name, namespace } = sidecar?.metadata ?? { name: proxy.name, namespace: proxy.namespace }
  const origin = sidecar === undefined ? '' : objectKeyOf(sidecar)
  const service: Service = {
    host: `${name}.${namespace}`,
    name,
    namespace,
    addresses: [],
    ports: [port],
    resolution: 'static',
    meshExternal: false,
    headless: false,
    exportTo: ['.'],
    subjectAltNames: [],
    labels: {},
    createdMs: sidecar?.metadata.createdMs ?? 0,
    origin,
    version: sidecar?.version ?? '',
  }
  const beside: Workload = workload ?? {
    key: `${namespace}/${proxy.name}`,
    name: proxy.name,
    namespace,
    address: proxy.ip,
    ports: {},
    labels,
    serviceAccount: proxy.serviceAccount,
    identity: `spiffe://${snapshot.mesh.trustDomain}/ns/${namespace}/sa/${proxy.serviceAccount || 'default'}`,
    locality: parseLocality(''),
    network: '',
    weight: 0,
    health: 'healthy',
    tlsMode: 'istio',
    origin,
  }
  return { service, port, endpoint: { address: proxy.ip, port: port.number, servicePort: port.number, workload: beside } }
}
