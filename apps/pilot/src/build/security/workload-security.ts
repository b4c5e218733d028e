import { keyOf as objectKeyOf } from '@weft/config/objects'
import type { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import type { HttpFilter } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { providerNamed } from '../../model/extension-providers.ts'
import type { Scope } from '../../scope/scope.ts'
import { type WorkloadPolicies, workloadPolicies } from '../../scope/workload-policies.ts'
import type { Recipe } from '../resource-cache.ts'
import { systemRootsOf } from '../tls/contexts.ts'
import { keyOf } from '../wire.ts'
import { type AuthorizationContext, httpAuthorization, tcpAuthorization } from './authorization.ts'
import type { KnownProvider } from './ext-authz.ts'
import { type JwksSource, jwksCluster, jwksSource } from './jwks-source.ts'
import { jwtRules, requestAuthentication } from './request-authentication.ts'
import { trustDomainsOf } from './trust-domains.ts'

/** The filters by which a workload's own listeners authenticate end users and authorise everybody. */
export interface WorkloadSecurity {
  /** Changes exactly when the filters may. */
  readonly key: string
  /** The objects they come from. */
  readonly origins: readonly string[]
  http(): readonly HttpFilter[]
  tcp(): readonly Filter[]
  /** Clusters for key servers that are no services of the mesh. */
  readonly clusters: readonly Recipe[]
}

const nothing: WorkloadSecurity = { key: '', origins: [], http: () => [], tcp: () => [], clusters: [] }
const known = new WeakMap<Scope, WorkloadSecurity>()

/** The security of the workload that a proxy stands beside, or of a gateway; worked out once for a scope. */
export function workloadSecurity(scope: Scope): WorkloadSecurity {
  let security = known.get(scope)
  if (security === undefined) {
    const { proxy, labels, instances, snapshot } = scope
    const policies = workloadPolicies(snapshot, { type: proxy.type, namespace: proxy.namespace, labels, instances })
    const none = policies.authorizationPolicies.length === 0 && policies.requestAuthentications.length === 0
    security = none ? nothing : securityOf(policies, scope)
    known.set(scope, security)
  }
  return security
}

function securityOf({ requestAuthentications, authorizationPolicies }: WorkloadPolicies, scope: Scope): WorkloadSecurity {
  const { mesh } = scope.snapshot
  const policies = [...requestAuthentications, ...authorizationPolicies]
  const origins = policies.map(objectKeyOf)
  const rules = jwtRules(requestAuthentications)
  const sources = new Map<string, JwksSource | undefined>()
  for (const { jwksUri } of rules) {
    if (jwksUri !== '' && !sources.has(jwksUri)) sources.set(jwksUri, jwksSource(jwksUri, mesh, scope.service))
  }
  const custom = new Map<string, KnownProvider | undefined>()
  for (const { spec } of authorizationPolicies) {
    const name = spec.actionDetail?.value.name
    if (name !== undefined) custom.set(name, knownProvider(name, scope))
  }
  const trustDomains = trustDomainsOf(mesh)
  const context: AuthorizationContext = { trustDomains, provider: (name) => custom.get(name) }
  const unknown = new Map<string, JwksSource>()
  for (const source of sources.values()) if (source !== undefined && !source.known) unknown.set(source.cluster, source)
  return {
    key: keyOf(
      ...policies.map((policy) => `${objectKeyOf(policy)}@${policy.version}`),
      ...[...sources.values()].map((source) => source?.cluster),
      JSON.stringify([...custom]),
      ...trustDomains,
    ),
    origins,
    http: once(() => {
      const clearRouteCache = scope.proxy.type === 'router'
      const jwt = requestAuthentication(rules, { source: (uri) => sources.get(uri), clearRouteCache })
      return [...(jwt === undefined ? [] : [jwt]), ...httpAuthorization(authorizationPolicies, context)]
    }),
    tcp: once(() => tcpAuthorization(authorizationPolicies, context)),
    clusters: [...unknown.values()].map((source) =>
      jwksCluster(source, {
        mesh,
        systemRoots: systemRootsOf(scope.proxy),
        origins: requestAuthentications.map(objectKeyOf),
      }),
    ),
  }
}

/** The provider of a name with its service, where this proxy sees both. */
function knownProvider(name: string, { snapshot, service }: Scope): KnownProvider | undefined {
  const provider = providerNamed(snapshot.mesh.extensionProviders, name)
  if (provider?.type !== 'ext-authz') return undefined
  const slash = provider.service.indexOf('/')
  const namespace = provider.service.slice(0, Math.max(slash, 0))
  const found = service(provider.service.slice(slash + 1))
  if (found === undefined || found.host.startsWith('*') || (namespace !== '' && found.namespace !== namespace)) return undefined
  return found.ports.some(({ number }) => number === provider.port) ? { name, provider, host: found.host } : undefined
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
