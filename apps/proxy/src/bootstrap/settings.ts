import {
  Bootstrap,
  type Bootstrap_DynamicResources,
  type LayeredRuntime,
} from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { StatsConfig } from '@weft/contracts/envoy/config/metrics/v3/stats'
import type { OverloadManager } from '@weft/contracts/envoy/config/overload/v3/overload'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { WeftError } from '@weft/service/errors'
import { type ClusterDefaults, clusterDefaults } from '../control/cluster-defaults.ts'
import { checkOverload } from '../control/overload/overload-manager.ts'
import { type CheckedResource, checkedResource, checkSecretKind } from '../control/resource.ts'
import { checkInlineClusters } from '../control/route-clusters.ts'
import { checkLayers, staticValues } from '../control/runtime-layers.ts'
import type { ProxyFlags } from '../flags.ts'
import { limitPrograms } from '../routing/matchers/regex.ts'
import { readSinks, type StatsdTarget } from '../stats-sinks/sink-config.ts'
import type { ResourceKind } from '../threads.ts'
import { proxyVersion } from '../version.ts'
import { checkBootstrap, fetchesSomething } from './bootstrap-rules.ts'
import { logFormatOf } from './log-format.ts'

/** A bootstrap taken apart: everything in it is checked. */
export interface BootstrapSettings {
  node: Node
  /** The pattern of the proxy's own log; undefined: as the flags have it. */
  logFormat: string | undefined
  /** Where events of outlier detection are written; empty: nowhere. */
  outlierEventLog: string
  adminAddress: Address | undefined
  /** Which of the admin's paths may be asked for; none: all. */
  adminAllowPaths: readonly StringMatcher[]
  dynamic: Bootstrap_DynamicResources | undefined
  runtime: LayeredRuntime | undefined
  overload: OverloadManager | undefined
  stats: StatsConfig | undefined
  statsFlushMs: number
  /** Whom the statistics are told to. */
  statsSinks: readonly StatsdTarget[]
  secrets: CheckedResource[]
  clusters: CheckedResource[]
  clusterDefaults: ClusterDefaults
  /** The cluster that this proxy and its like are in; empty: none is named. */
  localCluster: string
  listeners: CheckedResource[]
  /** For `/config_dump`. */
  bytes: Uint8Array
  /** What is odd but no error. */
  warnings: string[]
}

/** Takes a checked bootstrap apart and checks each static resource as one that came over xDS. Throws WeftError. */
export function readSettings(bytes: Uint8Array, flags: ProxyFlags): BootstrapSettings {
  const bootstrap = Bootstrap.decode(bytes)
  const { staticResources, dynamicResources } = bootstrap
  const node = nodeOf(bootstrap.node, flags)
  checkLayers(bootstrap.layeredRuntime)
  limitPrograms(staticValues(bootstrap.layeredRuntime))
  if (bootstrap.overloadManager !== undefined) checkOverload(bootstrap.overloadManager)
  const warnings: string[] = []
  const listeners = named(staticResources?.listeners ?? [], warnings)
  checkBootstrap(bootstrap, bytes)
  if (fetchesSomething(bytes) && (node.id === '' || node.cluster === ''))
    throw new WeftError('invalid_argument', "dynamic resources need node 'id' and 'cluster'", {
      where: { path: 'node' },
      hint: 'set them in the bootstrap, or with --service-node and --service-cluster',
    })
  const flush = bootstrap.statsFlushInterval
  const clusterNames = new Set(staticResources?.clusters.map(({ name }) => name))
  const secretKinds = new Map(staticResources?.secrets.map(({ name, type }) => [name, type?.$case]))
  const clusters = statics('cluster', staticResources?.clusters ?? [], (cluster) => Cluster.encode(cluster).finish())
  const checkedListeners = statics('listener', listeners, (listener) => {
    const encoded = Listener.encode(listener).finish()
    checkInlineClusters(encoded, (name) => clusterNames.has(name))
    return encoded
  })
  for (const { kind, name, secrets } of [...clusters, ...checkedListeners]) {
    const unknown = secrets.find((secret) => secret.source === undefined && !secretKinds.has(secret.name))
    if (unknown !== undefined)
      throw new WeftError('invalid_argument', `Unknown static secret: ${unknown.name}`, {
        where: { path: `${kind} ${name}` },
        hint: 'add it to static_resources.secrets, or say in sds_config where it comes from',
      })
    for (const secret of secrets) if (secret.source === undefined) checkSecretKind(secret, secretKinds.get(secret.name))
  }
  return {
    node,
    logFormat: logFormatOf(bootstrap.applicationLogConfig, flags.logFormat !== undefined),
    outlierEventLog: bootstrap.clusterManager?.outlierDetection?.eventLogPath ?? '',
    adminAddress: bootstrap.admin?.address,
    adminAllowPaths: bootstrap.admin?.allowPaths ?? [],
    dynamic: dynamicResources,
    runtime: bootstrap.layeredRuntime,
    overload: bootstrap.overloadManager,
    stats: bootstrap.statsConfig,
    statsFlushMs: flush === undefined ? 5_000 : Number(flush.seconds) * 1000 + flush.nanos / 1e6,
    statsSinks: readSinks(bootstrap.statsSinks, (name) => clusterNames.has(name)),
    secrets: statics('secret', staticResources?.secrets ?? [], (secret) => {
      if (secret.type === undefined) throw new WeftError('invalid_argument', 'Secret type not implemented')
      return Secret.encode(secret).finish()
    }),
    localCluster: bootstrap.clusterManager?.localClusterName ?? '',
    clusters,
    clusterDefaults: clusterDefaults(bootstrap),
    listeners: checkedListeners,
    bytes,
    warnings,
  }
}

/** Listeners may go without a name: then one is made. Of two with one name the first counts, as in Envoy. */
function named(listeners: readonly Listener[], warnings: string[]): Listener[] {
  const byName = new Map<string, Listener>()
  for (const [index, listener] of listeners.entries()) {
    const name = listener.name === '' ? `listener_${index}` : listener.name
    if (byName.has(name)) warnings.push(`static_resources.listeners[${index}]: '${name}' is there already; this one is left out`)
    else byName.set(name, { ...listener, name })
  }
  return [...byName.values()]
}

function statics<T extends { name: string }>(
  kind: ResourceKind,
  resources: readonly T[],
  encode: (resource: T) => Uint8Array,
): CheckedResource[] {
  const names = new Set<string>()
  return resources.map((resource, index) => {
    const path = `static_resources.${kind}s[${index}]`
    if (names.has(resource.name))
      throw new WeftError('invalid_argument', `two ${kind}s are named '${resource.name}'`, { where: { path: `${path}.name` } })
    names.add(resource.name)
    try {
      return checkedResource(kind, resource.name, '', encode(resource))
    } catch (thrown) {
      const error = WeftError.from(thrown)
      throw new WeftError(error.code, error.describe(), { where: { path }, cause: thrown })
    }
  })
}

function nodeOf(node: Node | undefined, flags: ProxyFlags): Node {
  const base = node ?? Node.create({})
  const locality = base.locality ?? { region: '', zone: '', subZone: '' }
  const [major = 0, minor = 0, patch = 0] = proxyVersion.split('.').map(Number)
  return {
    ...base,
    id: flags.serviceNode || base.id,
    cluster: flags.serviceCluster || base.cluster,
    locality: flags.serviceZone === '' ? base.locality : { ...locality, zone: flags.serviceZone },
    userAgentName: 'weft-proxy',
    userAgentVersionType: {
      $case: 'userAgentBuildVersion',
      value: { version: { majorNumber: major, minorNumber: minor, patch }, metadata: { runtime: `node ${process.version}` } },
    },
  }
}
