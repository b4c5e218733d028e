import type { FormatContext } from '../../observe/format/context.ts'
import {
  noPeerKey,
  peerKeys,
  WorkloadMetadata as Workload,
  type WorkloadMetadata,
  workloadOfEndpoint,
} from './workload-metadata.ts'

/** Whose view a metric is: the client's sidecar, the server's, or a gateway's that stands before many servers. */
export type Reporter = 'source' | 'destination' | 'waypoint'

/** Labels of who speaks to whom, in their order. */
export const peerLabels = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_service_name',
  'destination_service_namespace',
  'destination_cluster',
] as const

/** Labels of a request, besides. */
export const requestLabels = [
  ...peerLabels,
  'request_protocol',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const

/** Labels of a TCP connection. */
export const connectionLabels = [...peerLabels, 'request_protocol', 'response_flags', 'connection_security_policy'] as const

/** This side's own workload, as its node's metadata have it. */
export interface OwnLabels {
  readonly workload: string
  readonly namespace: string
  readonly service: string
  readonly revision: string
  readonly app: string
  readonly version: string
  readonly cluster: string
}

/** Reads them of a node: unlike a peer's, what it does not say stays empty. */
export function ownLabels(metadata: Readonly<Record<string, unknown>>): OwnLabels {
  const text = (from: unknown, key: string): string => {
    const value = isRecord(from) ? from[key] : undefined
    return typeof value === 'string' ? value : ''
  }
  const labels = metadata['LABELS']
  return {
    workload: text(metadata, 'WORKLOAD_NAME'),
    namespace: text(metadata, 'NAMESPACE'),
    service: text(labels, 'service.istio.io/canonical-name'),
    revision: text(labels, 'service.istio.io/canonical-revision'),
    app: text(labels, 'app'),
    version: text(labels, 'version'),
    cluster: text(metadata, 'CLUSTER_ID'),
  }
}

/** What is known of the two ends, by `peerLabels`; `security`: how they know each other, where this side can tell. */
export interface PeerValues {
  readonly values: readonly string[]
  readonly security: 'mutual_tls' | 'none' | 'unknown'
}

/** Whether more will be known of the peer of a connection (or request) later. */
export function isPeerKnown(reporter: Reporter, state: ReadonlyMap<string, unknown>): boolean {
  return state.has(noPeerKey) || state.has(reporter === 'source' ? peerKeys.upstream[0] : peerKeys.downstream[0])
}

const unknown = 'unknown'
const noRevision = 'latest'

/** Who speaks to whom, as this side knows it. `hostFallback`: a destination that the control plane says nothing of is what the request names. */
export function peerValues(context: FormatContext, reporter: Reporter, own: OwnLabels, hostFallback: boolean): PeerValues {
  const service = serviceOf(context, hostFallback)
  const state = context.filterState
  if (reporter === 'source') {
    const tls = context.info.upstreamConnection?.tls ?? null
    const told = peerOf(state, peerKeys.upstream[0])
    const peer = told ?? workloadOfEndpoint(istioOf(context.info.upstreamEndpoint?.metadata)?.['workload'])
    const principal = tls?.peer?.uris[0] || told?.identity || ''
    const namespace = namespaceOf(principal) || (peer?.namespace ?? '')
    const source = ownValues(own, tls?.localUris[0] || unknown)
    const { workload, app, version, service: canonical, revision, cluster } = peer ?? nobody
    const values = [
      reporter,
      ...source,
      workload || unknown,
      namespace || unknown,
      principal || unknown,
      app || unknown,
      version || unknown,
      service.host || unknown,
      canonical || unknown,
      revision || noRevision,
      service.name || unknown,
      service.namespace || namespace || unknown,
      cluster || unknown,
    ]
    return { values, security: unknown }
  }
  const { principal, local } = principalsOf(context)
  const peer = peerOf(state, peerKeys.downstream[0])
  const { workload, app, version, service: canonical, revision, cluster } = peer ?? nobody
  const values = [
    reporter,
    workload || unknown,
    canonical || unknown,
    revision || noRevision,
    namespaceOf(principal) || peer?.namespace || unknown,
    principal || unknown,
    app || unknown,
    version || unknown,
    cluster || unknown,
    ...(reporter === 'waypoint'
      ? endpointValues(peerOf(state, peerKeys.upstream[0]), service)
      : [
          own.workload,
          own.namespace,
          local || unknown,
          own.app,
          own.version,
          service.host || own.service,
          own.service,
          own.revision,
          service.name || own.service,
          own.namespace,
          own.cluster,
        ]),
  ]
  return { values, security: principal !== '' && local !== '' ? 'mutual_tls' : 'none' }
}

const nobody = new Workload({})

function ownValues(own: OwnLabels, principal: string): string[] {
  return [own.workload, own.service, own.revision, own.namespace, principal, own.app, own.version, own.cluster]
}

/** The destination behind a gateway, which is another workload than the gateway itself. */
function endpointValues(endpoint: WorkloadMetadata | null, service: ServiceName): string[] {
  const { workload, namespace, identity, app, version, service: canonical, revision, cluster } = endpoint ?? nobody
  const values = [workload, namespace, identity, app, version, service.host, canonical, revision, service.name, service.namespace]
  return [...values, cluster].map((value) => value || unknown)
}

function peerOf(state: ReadonlyMap<string, unknown>, key: string): WorkloadMetadata | null {
  const peer = state.get(key)
  return peer instanceof Workload ? peer : null
}

/** Who the client and this side are by their certificates, or by what a filter found in their place. */
function principalsOf({ filterState, connection }: FormatContext): { principal: string; local: string } {
  const stated = (key: string): string => {
    const value = filterState.get(key)
    return typeof value === 'string' ? value : ''
  }
  const principal = stated('io.istio.peer_principal')
  const local = stated('io.istio.local_principal')
  if (principal !== '' || local !== '') return { principal, local }
  return { principal: connection.tls?.peer?.uris[0] ?? '', local: connection.tls?.localUris[0] ?? '' }
}

/** `spiffe://domain/ns/NAMESPACE/sa/account`. */
function namespaceOf(principal: string): string {
  return /\/ns\/([^/]*)/.exec(principal)?.[1] ?? ''
}

interface ServiceName {
  readonly host: string
  readonly name: string
  readonly namespace: string
}

/** Clusters that are no service: their own names say what becomes of a request. */
const nameless: ReadonlySet<string> = new Set([
  'BlackHoleCluster',
  'PassthroughCluster',
  'InboundPassthroughCluster',
  'InboundPassthroughClusterIpv4',
  'InboundPassthroughClusterIpv6',
])
const byRoute: ReadonlyMap<string, string> = new Map([
  ['block_all', 'BlackHoleCluster'],
  ['allow_any', 'PassthroughCluster'],
])

/** The service that a request is for, by what the control plane says of its cluster. */
function serviceOf({ request, info, clusterMetadata }: FormatContext, hostFallback: boolean): ServiceName {
  const asked = hostFallback ? (request?.authority ?? '') : ''
  const given = byRoute.get(info.routeName) ?? (nameless.has(info.clusterName) ? info.clusterName : undefined)
  if (given !== undefined) return { host: asked, name: given, namespace: '' }
  const services: unknown = istioOf(clusterMetadata)?.['services']
  const service: unknown = Array.isArray(services) ? services[0] : undefined
  if (!isRecord(service)) return { host: asked, name: asked, namespace: '' }
  const { host = asked, name, namespace = '' } = service
  const hostText = String(host)
  return {
    host: hostText,
    name: name === undefined ? hostText.replace(/\..*$/s, '') : String(name),
    namespace: String(namespace),
  }
}

function istioOf(metadata: Readonly<Record<string, unknown>> | null | undefined): Readonly<Record<string, unknown>> | undefined {
  const istio = metadata?.['istio']
  return isRecord(istio) ? istio : undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
