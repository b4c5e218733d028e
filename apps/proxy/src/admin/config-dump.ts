import type { JsonValue } from '@bufbuild/protobuf'
import { Locality, Node } from '@weft/contracts/envoy/config/core/v3/base'
import { HealthStatus } from '@weft/contracts/envoy/config/core/v3/health_check'
import { ClusterLoadAssignment, ClusterLoadAssignment_Policy } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import {
  Endpoint_HealthCheckConfig,
  type LocalityLbEndpoints,
} from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { bootstrapType } from '../bootstrap/load.ts'
import type { ClusterState } from '../control/clusters.ts'
import type { Control } from '../control/control.ts'
import type { RefusedResource } from '../control/discovery.ts'
import { endpointKey } from '../control/endpoint-slots.ts'
import { fetchedStates } from '../control/fetched-resources.ts'
import { inlineRoutes } from '../control/inline-routes.ts'
import type { ListenerState } from '../control/listeners.ts'
import { compileRegex } from '../routing/matchers/regex.ts'
import { cell, degradedMask, unhealthyMask } from '../upstream/endpoint-slab.ts'
import { type AdminEndpoint, type AdminReply, json } from './endpoint.ts'
import { applyMask, maskPaths } from './field-mask.ts'
import { anyJson, messageJson } from './message-json.ts'
import { regexFault } from './regex-fault.ts'

type Json = Record<string, JsonValue>
const dumpPrefix = 'type.googleapis.com/envoy.admin.v3.'
const types = {
  cluster: 'envoy.config.cluster.v3.Cluster',
  endpoints: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  extension: 'envoy.config.core.v3.TypedExtensionConfig',
  listener: 'envoy.config.listener.v3.Listener',
  route: 'envoy.config.route.v3.RouteConfiguration',
  secret: 'envoy.extensions.transport_sockets.tls.v3.Secret',
}

/** The message type of the elements of each repeated field of the dumps, for `?resource=`. */
const elementTypes: Record<string, string> = {
  static_clusters: 'ClustersConfigDump.StaticCluster',
  dynamic_active_clusters: 'ClustersConfigDump.DynamicCluster',
  dynamic_warming_clusters: 'ClustersConfigDump.DynamicCluster',
  ecds_filters: 'EcdsConfigDump.EcdsFilterConfig',
  static_endpoint_configs: 'EndpointsConfigDump.StaticEndpointConfig',
  dynamic_endpoint_configs: 'EndpointsConfigDump.DynamicEndpointConfig',
  static_listeners: 'ListenersConfigDump.StaticListener',
  dynamic_listeners: 'ListenersConfigDump.DynamicListener',
  static_route_configs: 'RoutesConfigDump.StaticRouteConfig',
  inline_scoped_route_configs: 'ScopedRoutesConfigDump.InlineScopedRouteConfigs',
  dynamic_scoped_route_configs: 'ScopedRoutesConfigDump.DynamicScopedRouteConfigs',
  dynamic_route_configs: 'RoutesConfigDump.DynamicRouteConfig',
  static_secrets: 'SecretsConfigDump.StaticSecret',
  dynamic_active_secrets: 'SecretsConfigDump.DynamicSecret',
  dynamic_warming_secrets: 'SecretsConfigDump.DynamicSecret',
}

/** `/config_dump`: what is in force, in the messages of `envoy.admin.v3.ConfigDump`; secrets are redacted. */
export const configDump: AdminEndpoint = {
  path: '/config_dump',
  help: 'dump current Envoy configs',
  parameters: [
    ['resource', 'The resource to dump'],
    ['mask', 'The mask to apply (a FieldMask); with resource it is applied to every element'],
    ['name_regex', 'Dump only the configurations whose names match the regex'],
    ['include_eds', 'Dump endpoints too'],
  ],
  handle: ({ control }, { query }) => {
    const pattern = query.get('name_regex')
    let wanted: (name: string) => boolean = () => true
    if (pattern) {
      try {
        const regex = compileRegex(pattern, 'name_regex')
        wanted = (name) => regex.fullMatch(name)
      } catch (error) {
        return refused(`INVALID_ARGUMENT: Error while parsing name_regex from ${pattern}: ${regexFault(error)}`, 400)
      }
    }
    const withEndpoints = query.has('include_eds')
    const dumps = dumpAll(control, withEndpoints, wanted)
    const mask = query.get('mask') || null
    const resource = query.get('resource')
    if (resource?.endsWith('_endpoint_configs') && !withEndpoints) return notFound(resource)
    if (resource) return oneResource(dumps, resource, mask)
    if (mask === null) return json({ configs: dumps })
    // A dump that does not have all its paths is left out.
    const paths = maskPaths(mask)
    const masked = dumps.map((dump) => applyMask(dump, paths)).filter((dump) => dump !== undefined)
    if (masked.length === 0) return refused(`FieldMask ${mask} could not be successfully applied to any configs.`, 400)
    return json({ configs: masked })
  },
}

/** Errors of this path come without a charset. */
function refused(body: string, status: number): AdminReply {
  return { status, body, type: 'text/plain' }
}

function notFound(resource: string): AdminReply {
  return refused(`${resource} not found in config dump`, 404)
}

function oneResource(dumps: readonly Json[], resource: string, mask: string | null): AdminReply {
  const type = elementTypes[resource]
  if (type === undefined) {
    if (dumps.some((dump) => resource in dump && resource !== '@type'))
      return refused(`${resource} is not a repeated field. Use ?mask=${resource} to get only this field`, 400)
    return notFound(resource)
  }
  const elements = dumps.flatMap((dump) => {
    const list = dump[resource]
    return Array.isArray(list) ? list : []
  })
  const typed = elements.map((element): Json => ({ '@type': `${dumpPrefix}${type}`, ...(isObject(element) ? element : {}) }))
  const paths = maskPaths(mask ?? '')
  const configs = mask === null ? typed : typed.map((element) => applyMask(element, paths)).filter((each) => each !== undefined)
  if (configs.length < typed.length) {
    const listed = paths.map((path) => `paths: ${JSON.stringify(path.join('.'))}\n`).join('')
    return refused(`FieldMask ${listed} could not be successfully used.`, 400)
  }
  return json(configs.length === 0 ? {} : { configs })
}

function dumpAll(control: Control, withEndpoints: boolean, wanted: (name: string) => boolean): Json[] {
  return [
    bootstrapDump(control),
    clustersDump(control, wanted),
    ...extensionsDump(control, wanted),
    ...(withEndpoints ? [endpointsDump(control, wanted)] : []),
    listenersDump(control, wanted),
    { '@type': `${dumpPrefix}ScopedRoutesConfigDump` },
    routesDump(control, wanted),
    secretsDump(control, wanted),
  ]
}

function bootstrapDump({ settings, startedAt }: Control): Json {
  const bootstrap = messageJson(bootstrapType, settings.bytes)
  return {
    '@type': `${dumpPrefix}BootstrapConfigDump`,
    bootstrap: isObject(bootstrap) ? { ...bootstrap, node: nodeShown(bootstrap['node'] ?? null, settings.node) } : bootstrap,
    last_updated: startedAt.toISOString(),
  }
}

/** The node as the bootstrap has it, which does not know what flags say of it, and what the proxy is. */
function nodeShown(node: JsonValue, { userAgentName, userAgentVersionType }: Node): JsonValue {
  const own = messageJson('envoy.config.core.v3.Node', Node.encode(Node.create({ userAgentName, userAgentVersionType })).finish())
  return { ...(isObject(node) ? node : {}), ...(isObject(own) ? own : {}) }
}

function clustersDump({ clusters, cds }: Control, wanted: (name: string) => boolean): Json {
  const entry = (cluster: { name: string; version: string; bytes: Uint8Array; updatedAt: Date }): Json => ({
    ...version(cluster.version),
    cluster: anyJson(types.cluster, cluster.bytes),
    last_updated: cluster.updatedAt.toISOString(),
  })
  const active = clusters.active().filter(({ name }) => wanted(name))
  const warming = clusters.warming().filter(({ name, origin }) => wanted(name) && origin === 'dynamic')
  const refused = [...(cds?.refused.values() ?? [])].filter(({ name }) => wanted(name))
  return {
    '@type': `${dumpPrefix}ClustersConfigDump`,
    ...version(cds?.version ?? ''),
    ...list('static_clusters', active.filter(({ origin }) => origin === 'static').map(entry)),
    ...list('dynamic_active_clusters', active.filter(({ origin }) => origin === 'dynamic').map(entry)),
    ...list('dynamic_warming_clusters', [
      ...warming.map(entry),
      ...refused.map((each) => ({ error_state: errorState(each, types.cluster) })),
    ]),
  }
}

/** Fetched configurations of filters; none where no filter is fetched. */
function extensionsDump({ extensions }: Control, wanted: (name: string) => boolean): Json[] {
  if ([...extensions.list()].length === 0) return []
  const filters = fetchedStates(extensions)
    .filter(({ name }) => wanted(name))
    .map(({ version: at, bytes, updatedAt }) => ({
      ...version(at),
      ecds_filter: anyJson(types.extension, bytes),
      last_updated: updatedAt.toISOString(),
    }))
  return [{ '@type': `${dumpPrefix}EcdsConfigDump`, ...list('ecds_filters', filters) }]
}

function endpointsDump(control: Control, wanted: (name: string) => boolean): Json {
  const { clusters } = control
  const entries = clusters.active().flatMap((cluster) => {
    if (cluster.assignment === undefined || !wanted(cluster.name)) return []
    const { assignment: held } = cluster
    const assignment: ClusterLoadAssignment = {
      ...held,
      clusterName: clusterNameOf(cluster),
      endpoints: held.endpoints.map((locality) => endpointsInUse(control, cluster, locality)),
      policy: { ...ClusterLoadAssignment_Policy.create({ overprovisioningFactor: 140 }), ...held.policy },
    }
    const config: Json = { endpoint_config: anyJson(types.endpoints, ClusterLoadAssignment.encode(assignment).finish()) }
    return [{ origin: cluster.origin, config }]
  })
  return {
    '@type': `${dumpPrefix}EndpointsConfigDump`,
    ...list(
      'static_endpoint_configs',
      entries.filter(({ origin }) => origin === 'static').map(({ config }) => config),
    ),
    ...list(
      'dynamic_endpoint_configs',
      entries.filter(({ origin }) => origin === 'dynamic').map(({ config }) => config),
    ),
  }
}

/** What endpoints of a cluster are called: by its name, or what its source knows them by. */
function clusterNameOf({ name, message }: ClusterState): string {
  return message.edsClusterConfig?.serviceName || name
}

/** The endpoints of a locality as they stand: with their health, and what was left to its default said. */
function endpointsInUse({ slab }: Control, { slots }: ClusterState, locality: LocalityLbEndpoints): LocalityLbEndpoints {
  return {
    ...locality,
    locality: locality.locality ?? Locality.create(),
    loadBalancingWeight: locality.loadBalancingWeight ?? 0,
    lbEndpoints: locality.lbEndpoints.map((endpoint) => {
      const health = slab.get(slots.keys.get(endpointKey(endpoint) ?? '') ?? 0, cell.health)
      const { hostIdentifier: host } = endpoint
      return {
        ...endpoint,
        hostIdentifier:
          host?.$case === 'endpoint'
            ? {
                $case: 'endpoint',
                value: { ...host.value, healthCheckConfig: host.value.healthCheckConfig ?? Endpoint_HealthCheckConfig.create() },
              }
            : host,
        healthStatus:
          (health & unhealthyMask) !== 0
            ? HealthStatus.UNHEALTHY
            : (health & degradedMask) !== 0
              ? HealthStatus.DEGRADED
              : HealthStatus.HEALTHY,
        loadBalancingWeight: endpoint.loadBalancingWeight ?? 1,
      }
    }),
  }
}

function listenersDump({ listeners, lds }: Control, wanted: (name: string) => boolean): Json {
  const state = (listener: ListenerState): Json => ({
    ...version(listener.version),
    listener: anyJson(types.listener, listener.bytes),
    last_updated: listener.updatedAt.toISOString(),
  })
  const names = new Map<string, Json>()
  const add = (listener: ListenerState, key: string): void => {
    if (listener.origin !== 'dynamic' || !wanted(listener.name)) return
    names.set(listener.name, { ...(names.get(listener.name) ?? { name: listener.name }), [key]: state(listener) })
  }
  for (const listener of listeners.active()) add(listener, 'active_state')
  for (const listener of listeners.warming()) add(listener, 'warming_state')
  // The first that drains stands for all of its name.
  for (const listener of listeners.draining().toReversed()) add(listener, 'draining_state')
  const refused = [...(lds?.refused.values() ?? [])].filter(({ name }) => wanted(name))
  for (const each of refused) {
    names.set(each.name, { ...(names.get(each.name) ?? { name: each.name }), error_state: errorState(each, types.listener) })
  }
  return {
    '@type': `${dumpPrefix}ListenersConfigDump`,
    ...version(lds?.version ?? ''),
    ...list(
      'static_listeners',
      listeners
        .active()
        .filter(({ name, origin }) => origin === 'static' && wanted(name))
        .map((listener) => ({
          listener: anyJson(types.listener, listener.bytes),
          last_updated: listener.updatedAt.toISOString(),
        })),
    ),
    // What the whole update came to stands behind, without names.
    ...list('dynamic_listeners', [
      ...names.values(),
      ...refused.map((each) => {
        const { last_update_attempt: _, ...state } = errorState(each, types.listener)
        return { error_state: state }
      }),
    ]),
  }
}

function routesDump({ listeners, routes }: Control, wanted: (name: string) => boolean): Json {
  const inline = [...listeners.active(), ...listeners.warming(), ...listeners.draining()].flatMap((listener) =>
    inlineRoutes(listener.bytes)
      .filter(({ name }) => wanted(name))
      .map(({ bytes }) => ({ route_config: anyJson(types.route, bytes), last_updated: listener.updatedAt.toISOString() })),
  )
  return {
    '@type': `${dumpPrefix}RoutesConfigDump`,
    ...list('static_route_configs', inline),
    ...list(
      'dynamic_route_configs',
      fetchedStates(routes)
        .filter(({ name }) => wanted(name))
        .map((route) => ({
          ...version(route.version),
          route_config: anyJson(types.route, route.bytes),
          last_updated: route.updatedAt.toISOString(),
        })),
    ),
  }
}

function secretsDump({ secrets }: Control, wanted: (name: string) => boolean): Json {
  const entries = secrets.list().filter(({ name }) => wanted(name))
  const entry = (secret: (typeof entries)[number]): Json => ({
    name: secret.name,
    ...version(secret.version === '' && secret.origin === 'dynamic' ? 'uninitialized' : secret.version),
    ...(secret.updatedAt === undefined || secret.origin === 'static' ? {} : { last_updated: secret.updatedAt.toISOString() }),
    secret:
      secret.shown === undefined
        ? { '@type': `type.googleapis.com/${types.secret}`, name: secret.name }
        : anyJson(types.secret, Secret.encode(secret.shown).finish()),
  })
  return {
    '@type': `${dumpPrefix}SecretsConfigDump`,
    ...list('static_secrets', entries.filter(({ origin }) => origin === 'static').map(entry)),
    ...list(
      'dynamic_active_secrets',
      entries.filter(({ origin, shown }) => origin === 'dynamic' && shown !== undefined).map(entry),
    ),
    ...list(
      'dynamic_warming_secrets',
      entries.filter(({ origin, shown }) => origin === 'dynamic' && shown === undefined).map(entry),
    ),
  }
}

function errorState({ bytes, at, reason }: RefusedResource, type: string): Json {
  return { failed_configuration: anyJson(type, bytes), last_update_attempt: at.toISOString(), details: reason }
}

function version(text: string): Json {
  return text === '' ? {} : { version_info: text }
}

function list(name: string, elements: Json[]): Json {
  return elements.length === 0 ? {} : { [name]: elements }
}

function isObject(value: JsonValue): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
