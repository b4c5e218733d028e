import { createHash } from 'node:crypto'
import type { Any } from '@weft/contracts/google/protobuf/any'
import { Attributes } from '@weft/contracts/istio/mixer/v1/attributes'
import {
  HttpClientConfig,
  ServiceConfig,
  TcpClientConfig,
  TransportConfig,
} from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import { isHttp, type Service } from '../../model/service.ts'
import type { Scope } from '../../scope/scope.ts'
import type { InboundPort } from '../listeners/inbound-ports.ts'
import { outboundClusterName } from '../names.ts'
import { pack } from '../wire.ts'
import { type Destination, mixerNeed, quotaSpecsFor } from './mixer-rules.ts'

/** A configuration of the Mixer filter, and a text that changes exactly when it does. */
export interface MixerFilter {
  readonly config: Any
  readonly key: string
}

type Value = string | number | Readonly<Record<string, string>> | Uint8Array

/** Only our own proxies have the filter, and only where the mesh has a Mixer. */
function hasMixer(scope: Scope): boolean {
  const { mixerCheckServer, mixerReportServer } = scope.snapshot.mesh
  return scope.proxy.isWeft && (mixerCheckServer !== '' || mixerReportServer !== '')
}

/** The filter for what leaves a sidecar or gateway: it calls nobody, but tells the next sidecar who calls. */
export function mixerOutbound(scope: Scope): MixerFilter | undefined {
  if (!hasMixer(scope)) return undefined
  return cached(outbound, scope, '', () =>
    httpFilter({
      defaultDestinationService: 'outbound',
      serviceConfigs: { outbound: { disableCheckCalls: true, disableReportCalls: true } },
      forwardAttributes: attributes({
        'source.uid': workloadUid(scope),
        'source.name': podName(scope),
        'source.namespace': scope.proxy.namespace,
        'source.labels': labelsOf(scope),
        'source.workload.name': workloadName(scope),
        'source.workload.namespace': scope.proxy.namespace,
        'source.owner': ownerOf(scope),
      }),
    }),
  )
}

/** The filter for one port of the workload: asks Mixer and reports to it as far as some rule can match. */
export function mixerInbound(inbound: InboundPort, scope: Scope): MixerFilter | undefined {
  if (!hasMixer(scope)) return undefined
  return cached(inboundFilters, scope, String(inbound.port), () => {
    const [first] = inbound.instances
    const serviceConfigs: Record<string, ServiceConfig> = {}
    for (const { service } of inbound.instances) serviceConfigs[service.host] ??= serviceConfig(service, scope)
    return httpFilter({
      transport: transportOf(scope),
      defaultDestinationService: first.service.host,
      serviceConfigs,
      mixerAttributes: attributes(destinationValues(inbound, scope)),
    })
  })
}

/** The filter for what is no HTTP on one port of the workload. Only its address and its certificate tell of a caller. */
export function mixerInboundTcp(inbound: InboundPort, scope: Scope): MixerFilter | undefined {
  const [{ service, port }] = inbound.instances
  if (!hasMixer(scope) || isHttp(port.protocol)) return undefined
  return cached(inboundTcpFilters, scope, String(inbound.port), () => {
    const need = mixerNeed(scope.snapshot, destinationOf(service, scope))
    const config = TcpClientConfig.fromPartial({
      transport: transportOf(scope),
      mixerAttributes: attributes({ ...destinationValues(inbound, scope), ...serviceValues(service) }),
      disableCheckCalls: scope.snapshot.mesh.disablePolicyChecks || !need.check,
      disableReportCalls: !need.report,
      connectionQuotaSpec: { rules: quotaSpecsFor(scope.snapshot, service).flatMap(({ rules }) => rules) },
    })
    return pack('istio.mixer.v1.config.client.TcpClientConfig', TcpClientConfig, config)
  })
}

/** What an inbound route says to the filter: the service it leads to. */
export function mixerServiceConfig(inbound: InboundPort, scope: Scope): Any | undefined {
  if (!hasMixer(scope)) return undefined
  const config = serviceConfig(inbound.instances[0].service, scope)
  return pack('istio.mixer.v1.config.client.ServiceConfig', ServiceConfig, config)
}

function serviceConfig(service: Service, scope: Scope): ServiceConfig {
  const { mesh } = scope.snapshot
  const need = mixerNeed(scope.snapshot, destinationOf(service, scope))
  return ServiceConfig.fromPartial({
    disableCheckCalls: mesh.disablePolicyChecks || !need.check,
    disableReportCalls: mesh.disableMixerHttpReports || !need.report,
    quotaSpec: quotaSpecsFor(scope.snapshot, service),
    mixerAttributes: attributes(serviceValues(service)),
  })
}

function httpFilter(config: Parameters<(typeof HttpClientConfig)['fromPartial']>[0]): Any {
  return pack('istio.mixer.v1.config.client.HttpClientConfig', HttpClientConfig, HttpClientConfig.fromPartial(config))
}

function destinationOf(service: Service, scope: Scope): Destination {
  return { service, namespace: scope.proxy.namespace, labels: labelsOf(scope), workloadName: workloadName(scope) }
}

function transportOf(scope: Scope): TransportConfig {
  const { mesh } = scope.snapshot
  return TransportConfig.fromPartial({
    checkCluster: clusterOf(mesh.mixerCheckServer),
    reportCluster: clusterOf(mesh.mixerReportServer || mesh.mixerCheckServer),
    attributesForMixerProxy: attributes({ 'source.uid': workloadUid(scope) }),
  })
}

/** What is known of the workload that a connection to one of its ports reaches. */
function destinationValues(inbound: InboundPort, scope: Scope): Readonly<Record<string, Value>> {
  return {
    'context.reporter.kind': 'inbound',
    'context.reporter.uid': workloadUid(scope),
    'destination.uid': workloadUid(scope),
    'destination.name': podName(scope),
    'destination.namespace': scope.proxy.namespace,
    'destination.labels': labelsOf(scope),
    'destination.workload.name': workloadName(scope),
    'destination.workload.namespace': scope.proxy.namespace,
    'destination.workload.uid': `istio://${scope.proxy.namespace}/workloads/${workloadName(scope)}`,
    'destination.owner': ownerOf(scope),
    'destination.port': inbound.port,
  }
}

function serviceValues(service: Service): Readonly<Record<string, Value>> {
  return {
    'destination.service': service.host,
    'destination.service.host': service.host,
    'destination.service.name': service.name,
    'destination.service.namespace': service.namespace,
    'destination.service.uid': `istio://${service.namespace}/services/${service.name}`,
  }
}

function attributes(values: Readonly<Record<string, Value>>): Attributes {
  return Attributes.fromPartial({
    attributes: Object.fromEntries(
      Object.entries(values)
        .filter(([, value]) => value !== '')
        .map(([name, value]) => [name, { value: attributeValue(value) }]),
    ),
  })
}

function attributeValue(value: Value) {
  if (typeof value === 'string') return { $case: 'stringValue' as const, value }
  if (typeof value === 'number') return { $case: 'int64Value' as const, value }
  if (value instanceof Uint8Array) return { $case: 'bytesValue' as const, value: Buffer.from(value) }
  return { $case: 'stringMapValue' as const, value: { entries: value } }
}

function podName(scope: Scope): string {
  return scope.proxy.name.split('.', 1)[0] ?? scope.proxy.name
}

function workloadUid(scope: Scope): string {
  return `kubernetes://${podName(scope)}.${scope.proxy.namespace}`
}

function workloadName(scope: Scope): string {
  return scope.proxy.workloadName || podName(scope)
}

function ownerOf(scope: Scope): string {
  return `kubernetes://apis/apps/v1/namespaces/${scope.proxy.namespace}/deployments/${workloadName(scope)}`
}

function labelsOf(scope: Scope): Readonly<Record<string, string>> {
  return Object.keys(scope.proxy.labels).length > 0 ? scope.proxy.labels : (scope.workload?.labels ?? {})
}

/** The outbound cluster that leads to `host:port`. */
function clusterOf(server: string): string {
  const colon = server.lastIndexOf(':')
  return outboundClusterName(Number(server.slice(colon + 1)), '', server.slice(0, colon))
}

const outbound = new WeakMap<Scope, Map<string, MixerFilter>>()
const inboundFilters = new WeakMap<Scope, Map<string, MixerFilter>>()
const inboundTcpFilters = new WeakMap<Scope, Map<string, MixerFilter>>()

/** A filter is asked for by several listeners, and for their keys: it is made once for a scope. */
function cached(cache: WeakMap<Scope, Map<string, MixerFilter>>, scope: Scope, key: string, make: () => Any): MixerFilter {
  let filters = cache.get(scope)
  if (filters === undefined) {
    filters = new Map()
    cache.set(scope, filters)
  }
  let filter = filters.get(key)
  if (filter === undefined) {
    const config = make()
    filter = { config, key: createHash('sha1').update(config.value).digest('base64url') }
    filters.set(key, filter)
  }
  return filter
}
