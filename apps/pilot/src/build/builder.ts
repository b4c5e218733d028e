import { EnvoyFilter_ApplyTo as ApplyTo } from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import type { Resource } from '@weft/xds/cache/resource'
import { ResourceSet } from '@weft/xds/cache/resource-set'
import type { Snapshot as XdsSnapshot } from '@weft/xds/cache/snapshot'
import { typeUrls } from '@weft/xds/types'
import type { Change } from '../model/change.ts'
import type { Service } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Scope } from '../scope/scope.ts'
import { builtInClusters, inboundCluster } from './clusters/local-clusters.ts'
import { placeKey } from './endpoints/place-key.ts'
import { addedRecipes, isThere, patchedRecipes, patchMessage } from './envoy-filter/patched-recipes.ts'
import { proxyPatches } from './envoy-filter/proxy-patches.ts'
import { forwardsRest } from './filters/forward-proxy.ts'
import { mixerOutbound } from './filters/mixer.ts'
import { gatewayListener } from './listeners/gateway.ts'
import { gatewayPorts } from './listeners/gateway-ports.ts'
import { httpSettingsKey } from './listeners/http-connection-manager.ts'
import { inboundListeners } from './listeners/inbound.ts'
import { inboundPorts } from './listeners/inbound-ports.ts'
import { outboundListeners } from './listeners/outbound.ts'
import { virtualOutbound } from './listeners/virtual.ts'
import { isTransparent, serviceClusters, serviceEndpoints } from './outbound-resources.ts'
import { type Recipe, type Recipes, ResourceCache } from './resource-cache.ts'
import { gatewayRoutes } from './routes/gateway-routes.ts'
import { restCluster, routeKeys, sidecarRoute } from './routes/sidecar-routes.ts'
import { workloadSecurity } from './security/workload-security.ts'
import { systemRootsOf } from './tls/contexts.ts'
import { credentialSecrets } from './tls/credentials.ts'
import { keyOf } from './wire.ts'

/** What one proxy is to have, and what it was built from. */
export interface View {
  readonly scope: Scope
  readonly resources: XdsSnapshot
}

interface SharedSet {
  readonly set: ResourceSet
  readonly snapshot: Snapshot
}

/** How many snapshots a proxy may skip (because none of their changes concerned it) and still go on by changes. */
const historyLength = 64

/**
 * Builds what proxies are to have. Everything is cached by what decides it: a cluster is built once for all proxies
 * that see it alike, a set of clusters is put together once for a scope, and a set whose content did not change is the
 * very object it was, so that nobody compares it again.
 */
export class Builder {
  readonly #caches = {
    cluster: new ResourceCache(typeUrls.cluster),
    endpoint: new ResourceCache(typeUrls.endpoint),
    listener: new ResourceCache(typeUrls.listener),
    route: new ResourceCache(typeUrls.route),
    secret: new ResourceCache(typeUrls.secret),
    extension: new ResourceCache(typeUrls.extension),
  }
  /** Sets that several proxies share, by type and what they see; with the snapshot they are right for. */
  #shared = new Map<string, SharedSet>()
  #sharedBefore = new Map<string, SharedSet>()
  /** The last snapshots, each with what differs from the one before it; the newest is last. */
  readonly #history: { snapshot: Snapshot; changes: readonly Change[] | undefined }[] = []

  /** Starts on a snapshot. `changes` says what differs from the one before; undefined: look at everything anew. */
  begin(snapshot: Snapshot, changes: readonly Change[] | undefined): void {
    this.#history.push({ snapshot, changes })
    if (this.#history.length > historyLength) this.#history.shift()
  }

  /** What changed from a snapshot to the newest; undefined when that is not known any more. */
  changesSince(snapshot: Snapshot): readonly Change[] | undefined {
    const index = this.#history.findIndex((entry) => entry.snapshot === snapshot)
    if (index < 0) return undefined
    const later = this.#history.slice(index + 1).map(({ changes }) => changes)
    return later.every((changes) => changes !== undefined) ? later.flat() : undefined
  }

  /** Forgets what was not asked for lately, once there is more of that than of what is in use. */
  trim(inUse: { resources: number; views: number }): void {
    for (const cache of Object.values(this.#caches)) if (cache.size > 1_000 + 2 * inUse.resources) cache.age()
    if (this.#shared.size > 100 + 6 * inUse.views) {
      this.#sharedBefore = this.#shared
      this.#shared = new Map()
    }
  }

  /** How many resources were built (and not found ready), by type. */
  built(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.#caches).map(([type, cache]) => [type, cache.built]))
  }

  /** What a proxy is to have now; `before` is what it had, to go on from. */
  build(scope: Scope, before?: View): View {
    const clusters = this.#clusters(scope)
    const endpoints = this.#endpoints(scope)
    const old = before?.resources
    if (before !== undefined && this.#onlyEndpointsFor(scope, before.scope) && sameInstances(before.scope, scope)) {
      const resources = new Map(before.resources)
      resources.set(typeUrls.cluster, clusters)
      resources.set(typeUrls.endpoint, endpoints)
      return { scope, resources: sameSets(before.resources, resources) ? before.resources : resources }
    }
    const { listeners, routes } = scope.proxy.type === 'router' ? this.#gateway(scope) : this.#sidecar(scope)
    const resources = new Map<string, ResourceSet>([
      [typeUrls.cluster, clusters],
      [typeUrls.endpoint, endpoints],
      [typeUrls.listener, listeners],
      [typeUrls.route, routes],
      [typeUrls.secret, this.#secrets(scope)],
    ])
    const extensions = addedRecipes(proxyPatches(scope), ApplyTo.EXTENSION_CONFIG)
    if (extensions.length > 0) resources.set(typeUrls.extension, this.#extensions(extensions, scope))
    return { scope, resources: old !== undefined && sameSets(old, resources) ? old : resources }
  }

  /** A set for all proxies with the same key, made anew or from the last one when the snapshot is another. */
  #sharedSet(key: string, scope: Scope, make: (last: SharedSet | undefined) => ResourceSet): ResourceSet {
    const { snapshot } = scope
    const known = this.#shared.get(key) ?? this.#sharedBefore.get(key)
    const set = known?.snapshot === snapshot ? known.set : keep(known?.set, make(known))
    this.#shared.set(key, { set, snapshot })
    return set
  }

  #clusters(scope: Scope): ResourceSet {
    const patches = proxyPatches(scope)
    const cache = this.#patched('cluster', scope)
    const { mesh } = scope.snapshot
    const { preservesCase } = scope.settings.headers
    const local: Recipe[] = builtInClusters(mesh, isTransparent(scope), preservesCase, forwardsRest(scope))
    for (const inbound of inboundPorts(scope)) local.push(inboundCluster(inbound, mesh, preservesCase))
    local.push(...workloadSecurity(scope).clusters)
    const added = addedRecipes(patches, ApplyTo.CLUSTER).map((recipe) => this.#caches.cluster.get(recipe))
    const own = [...local.map((recipe) => cache.get(recipe)), ...added].filter(isThere)
    const key = keyOf(
      'clusters',
      scope.key,
      isTransparent(scope),
      systemRootsOf(scope.proxy),
      placeKey(scope),
      preservesCase,
      patches?.key,
    )
    const outbound = this.#sharedSet(key, scope, (last) => {
      const concerned = this.#concerned(scope, last)
      if (last !== undefined && concerned !== undefined) {
        const changed = concerned.flatMap((service) => serviceClusters(service, scope, cache)).filter(isThere)
        return last.set.with(changed, [])
      }
      return ResourceSet.of(scope.services.flatMap((service) => serviceClusters(service, scope, cache)).filter(isThere))
    })
    return this.#withOwn(key, scope, outbound, own)
  }

  /** A shared set and what is a proxy's own: proxies whose own part is equal, as replicas have it, share the whole too. */
  #withOwn(key: string, scope: Scope, shared: ResourceSet, own: readonly Resource[]): ResourceSet {
    const ownKey = own.map(({ name, version }) => `${name}@${version}`).join()
    return this.#sharedSet(keyOf(key, 'own', ownKey), scope, (last) => {
      if (last === undefined) return shared.with(own, [])
      // Going on from the last set keeps the comparison with it as small as the change.
      const base = last.set
      const { changed, removed } = shared.since(base)
      const ownNames = new Set(own.map(({ name }) => name))
      const gone = removed.map(({ name }) => name).filter((name) => !ownNames.has(name))
      return base.with([...changed, ...own], gone)
    })
  }

  #endpoints(scope: Scope): ResourceSet {
    const cache = this.#caches.endpoint
    return this.#sharedSet(keyOf('endpoints', scope.key, isTransparent(scope), placeKey(scope)), scope, (last) => {
      const concerned = this.#concerned(scope, last)
      if (last !== undefined && concerned !== undefined) {
        return last.set.with(
          concerned.flatMap((service) => serviceEndpoints(service, scope, cache)),
          [],
        )
      }
      return ResourceSet.of(scope.services.flatMap((service) => serviceEndpoints(service, scope, cache)))
    })
  }

  /** The services that changed since a set was right, when it was their endpoints alone; undefined when it was more. */
  #concerned(scope: Scope, last: SharedSet | undefined): Service[] | undefined {
    const changes = last === undefined ? undefined : this.changesSince(last.snapshot)
    if (changes === undefined || !changes.every((change) => change.kind === 'Endpoints' || isWorkload(change))) return undefined
    return changes.flatMap((change) => {
      if (isWorkload(change)) return []
      const { host, namespace } = change
      const service = scope.service(host)
      return service !== undefined && service.namespace === namespace ? [service] : []
    })
  }

  /** Whether nothing but endpoints changed for a proxy since its last view; its own workload's object counts as more. */
  #onlyEndpointsFor(scope: Scope, before: Scope): boolean {
    const changes = this.changesSince(before.snapshot)
    if (changes === undefined) return false
    return changes.every((change) => {
      if (change.kind === 'Endpoints') return true
      return isWorkload(change) && !scope.dependsOn(change) && !before.dependsOn(change)
    })
  }

  #secrets(scope: Scope): ResourceSet {
    const secrets = credentialSecrets(scope).map((recipe) => this.#caches.secret.get(recipe))
    const key = keyOf('secrets', scope.proxy.namespace, ...secrets.map(({ name, version }) => `${name}@${version}`))
    return this.#sharedSet(key, scope, () => ResourceSet.of(secrets))
  }

  #extensions(recipes: readonly Recipe[], scope: Scope): ResourceSet {
    const extensions = recipes.map((recipe) => this.#caches.extension.get(recipe))
    const key = keyOf('extensions', ...extensions.map(({ name, version }) => `${name}@${version}`))
    return this.#sharedSet(key, scope, () => ResourceSet.of(extensions))
  }

  /** Where resources of a type are had as a proxy's EnvoyFilters have them. */
  #patched(type: keyof typeof patchMessage, scope: Scope): Recipes {
    return patchedRecipes(this.#caches[type], proxyPatches(scope), patchMessage[type])
  }

  /** Listeners that a proxy is to have: these, and those that EnvoyFilters add. */
  #listeners(recipes: readonly Recipe[], scope: Scope): Resource[] {
    const cache = this.#patched('listener', scope)
    const added = addedRecipes(proxyPatches(scope), ApplyTo.LISTENER).map((recipe) => this.#caches.listener.get(recipe))
    return [...recipes.map((recipe) => cache.get(recipe)).filter(isThere), ...added]
  }

  #gateway(scope: Scope): Delivery {
    const routeCache = this.#patched('route', scope)
    const ports = gatewayPorts(scope)
    const listeners = this.#listeners(
      ports.map((port) => gatewayListener(port, scope)),
      scope,
    )
    const routes = ports.flatMap((port) => gatewayRoutes(port, scope).map((recipe) => routeCache.get(recipe)))
    const key = keyOf(scope.proxy.id)
    return {
      listeners: this.#sharedSet(keyOf('listeners', key), scope, () => ResourceSet.of(listeners)),
      routes: this.#sharedSet(keyOf('routes', key), scope, () => ResourceSet.of(routes)),
    }
  }

  #sidecar(scope: Scope): Delivery {
    const key = outboundKey(scope)
    // Listeners and routes come of one walk over the services; both sets ask for it, at most one walk is made.
    let walked: ReturnType<typeof outboundListeners> | undefined
    const walk = (): ReturnType<typeof outboundListeners> => {
      walked ??= outboundListeners(scope)
      return walked
    }
    const listenerCache = this.#patched('listener', scope)
    const routeCache = this.#patched('route', scope)
    const outbound = this.#sharedSet(keyOf('listeners', key), scope, () =>
      ResourceSet.of(
        walk()
          .listeners.map((recipe) => listenerCache.get(recipe))
          .filter(isThere),
      ),
    )
    const routes = this.#sharedSet(keyOf('routes', key), scope, () =>
      ResourceSet.of(walk().routes.map((route) => routeCache.get(sidecarRoute(route, scope)))),
    )
    const own = inboundListeners(scope)
    if (isTransparent(scope)) own.push(virtualOutbound(scope))
    const listeners = this.#withOwn(keyOf('listeners', key), scope, outbound, this.#listeners(own, scope))
    return { listeners, routes }
  }
}

interface Delivery {
  readonly listeners: ResourceSet
  readonly routes: ResourceSet
}

/** Equal for sidecars whose outbound listeners and routes are the same. */
function outboundKey(scope: Scope): string {
  const { proxy } = scope
  return keyOf(
    scope.key,
    scope.outboundTrafficPolicy,
    proxy.interceptionMode,
    JSON.stringify(proxy.loopback),
    proxy.dnsDomain,
    proxy.isWeft,
    restCluster(scope),
    ...routeKeys(scope),
    httpSettingsKey(scope),
    mixerOutbound(scope)?.key,
    proxyPatches(scope)?.key,
  )
}

/** Objects whose effect on others is told by changes of services and endpoints already. */
function isWorkload({ kind }: Change): boolean {
  return kind === 'WorkloadEntry' || kind === 'WorkloadGroup' || kind === 'Workload'
}

/** The set as it was when the new content is the same, so that identity tells equality. */
function keep(last: ResourceSet | undefined, set: ResourceSet): ResourceSet {
  return last?.version === set.version ? last : set
}

function sameSets(before: XdsSnapshot, after: XdsSnapshot): boolean {
  return Object.values(typeUrls).every((type) => before.get(type) === after.get(type))
}

/** Whether the ports and services of the workload beside a proxy are as they were. */
function sameInstances(before: Scope, after: Scope): boolean {
  if (before.instances.length !== after.instances.length) return false
  return after.instances.every((instance, index) => {
    const other = before.instances[index]
    return (
      other?.service.version === instance.service.version &&
      other.service.host === instance.service.host &&
      other.port.number === instance.port.number &&
      other.endpoint.port === instance.endpoint.port
    )
  })
}
