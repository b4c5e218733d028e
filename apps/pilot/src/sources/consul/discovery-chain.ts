import type { ConfigEntries, ServiceResolver, ServiceRouter, ServiceSplitter } from './config-entries.ts'

/** What a service's router, splitter and resolver come to in the mesh's own words. */
export interface Chain {
  /** A VirtualService and a DestinationRule, as far as there is something to say. */
  objects: object[]
  /** What has no counterpart; `isLoss`: without it requests would go elsewhere, so that nothing of the service is taken. */
  problems: { message: string; isLoss: boolean }[]
}

interface Target {
  service: string
  subset: string
  weight: number
  headers?: object | undefined
}

/** Shares of a hundredth of a percent, the finest that Consul takes. */
const wholeWeight = 10_000
/** Consul refuses circles; entries are read one after the other, so that one may be seen for a moment. */
const longestChain = 16
const apiVersion = 'networking.istio.io/v1'

/** The services of which there is an entry. */
export function chainedServices({ routers, splitters, resolvers }: ConfigEntries): string[] {
  return [...new Set([...routers.keys(), ...splitters.keys(), ...resolvers.keys()])].sort()
}

/** Follows a service's requests through router, splitters and resolvers, as Consul's discovery chain does. */
export function chainOf(name: string, entries: ConfigEntries): Chain {
  const chain: Chain = { objects: [], problems: [] }
  const lose = (message: string): void => void chain.problems.push({ message, isLoss: true })
  const rest = targetsOf({ service: name, subset: '', weight: wholeWeight }, entries, lose)
  const routes = (entries.routers.get(name)?.Routes ?? []).map((route, at) =>
    httpRoute(route, `Routes[${at}]`, name, entries, chain),
  )
  const isPlain = rest.length === 1 && rest[0]?.service === name && rest[0].subset === ''
  const metadata = { name: `consul-${name}` }
  if (routes.length > 0 || !isPlain) {
    const destinations = rest.map(destinationOf)
    const http = [...routes, { route: destinations }]
    // Where it does not speak HTTP Consul knows a redirect or a default subset alone.
    const tcp = entries.routers.has(name) || entries.splitters.has(name) ? {} : { tcp: [{ route: destinations }] }
    chain.objects.push({ apiVersion, kind: 'VirtualService', metadata, spec: { hosts: [name], http, ...tcp } })
  }
  const resolver = entries.resolvers.get(name)
  if (resolver !== undefined) {
    const rule = destinationRule(resolver, chain)
    if (Object.keys(rule).length > 0) {
      chain.objects.push({ apiVersion, kind: 'DestinationRule', metadata, spec: { host: name, ...rule } })
    }
  }
  return chain
}

/** Where requests for a service end: splits of splits multiply; a redirect goes on from there. */
function targetsOf(from: Target, entries: ConfigEntries, lose: (message: string) => void, length = 0): Target[] {
  if (length > longestChain) {
    lose(`the chain is longer than ${longestChain} entries`)
    return [from]
  }
  const { service, subset, weight, headers } = from
  const splits = subset === '' ? (entries.splitters.get(service)?.Splits ?? []) : []
  if (splits.length > 0) {
    return splits.flatMap((split) => {
      const share = Math.round((weight * split.Weight) / 100)
      const to: Target = {
        ...{ service: split.Service || service, subset: split.ServiceSubset, weight: share },
        headers: headersOf(split) ?? headers,
      }
      // A share for the service itself is not split again.
      return to.service === service ? resolved(to, entries, lose, length + 1) : targetsOf(to, entries, lose, length + 1)
    })
  }
  return resolved(from, entries, lose, length)
}

function resolved(target: Target, entries: ConfigEntries, lose: (message: string) => void, length: number): Target[] {
  const resolver = entries.resolvers.get(target.service)
  const redirect = resolver?.Redirect
  if (redirect) {
    if (redirect.Datacenter !== '')
      lose(`Redirect to datacenter ${redirect.Datacenter}: endpoints of other datacenters are a registry's (dc=)`)
    const to = { ...target, service: redirect.Service || target.service, subset: redirect.ServiceSubset }
    if (to.service !== target.service) return targetsOf(to, entries, lose, length + 1)
    return [to]
  }
  return [{ ...target, subset: target.subset || (resolver?.DefaultSubset ?? '') }]
}

type Route = ServiceRouter['Routes'][number]

function httpRoute({ Match, Destination }: Route, path: string, name: string, entries: ConfigEntries, chain: Chain): object {
  const lose = (message: string): void => void chain.problems.push({ message: `${path}: ${message}`, isLoss: true })
  const to = Destination ?? undefined
  const target = { service: to?.Service || name, subset: to?.ServiceSubset ?? '', weight: wholeWeight }
  // A route of a service to itself is not split again by what stands before it: it is by its splitter.
  const route = targetsOf(target, entries, lose).map(destinationOf)
  if (to !== undefined && to.IdleTimeout !== '') {
    chain.problems.push({ message: `${path}.Destination.IdleTimeout is passed over`, isLoss: false })
  }
  const retryOn = [
    ...(to?.RetryOnConnectFailure ? ['connect-failure'] : []),
    ...(to?.RetryOn ?? []),
    ...(to?.RetryOnStatusCodes ?? []).map(String),
  ]
  const attempts = to?.NumRetries || (retryOn.length > 0 ? 1 : 0)
  const headers = to === undefined ? undefined : headersOf(to)
  const match = matchOf(Match?.HTTP ?? undefined)
  return {
    ...(match === undefined ? {} : { match: [match] }),
    route,
    ...(to !== undefined && to.PrefixRewrite !== '' ? { rewrite: { uri: to.PrefixRewrite } } : {}),
    ...(to !== undefined && isTime(to.RequestTimeout) ? { timeout: to.RequestTimeout } : {}),
    ...(attempts > 0 ? { retries: { attempts, ...(retryOn.length > 0 ? { retryOn: retryOn.join(',') } : {}) } } : {}),
    ...(headers === undefined ? {} : { headers }),
  }
}

function matchOf(http: NonNullable<Route['Match']>['HTTP'] | undefined): object | undefined {
  if (!http) return undefined
  const headers: Record<string, object> = {}
  const withoutHeaders: Record<string, object> = {}
  for (const { Name, Exact, Prefix, Suffix, Regex, Invert } of http.Header) {
    const said = { ...when('exact', Exact), ...when('prefix', Prefix), ...when('regex', Regex) }
    ;(Invert ? withoutHeaders : headers)[Name.toLowerCase()] = Suffix === '' ? said : { regex: `.*${escaped(Suffix)}` }
  }
  const queryParams: Record<string, object> = {}
  for (const { Name, Exact, Regex } of http.QueryParam) {
    // Present alone is any value.
    queryParams[Name] = Exact !== '' ? { exact: Exact } : { regex: Regex || '.*' }
  }
  const uri = { ...when('exact', http.PathExact), ...when('prefix', http.PathPrefix), ...when('regex', http.PathRegex) }
  const match = {
    ...(Object.keys(uri).length > 0 ? { uri } : {}),
    ...(http.Methods.length > 0 ? { method: { regex: http.Methods.map(escaped).join('|') } } : {}),
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    ...(Object.keys(withoutHeaders).length > 0 ? { withoutHeaders } : {}),
    ...(Object.keys(queryParams).length > 0 ? { queryParams } : {}),
  }
  return Object.keys(match).length > 0 ? match : undefined
}

function destinationOf({ service, subset, weight, headers }: Target): object {
  return {
    destination: { host: service, ...(subset === '' ? {} : { subset }) },
    weight,
    ...(headers === undefined ? {} : { headers }),
  }
}

type Edits = Pick<ServiceSplitter['Splits'][number], 'RequestHeaders' | 'ResponseHeaders'>

function headersOf({ RequestHeaders: request, ResponseHeaders: response }: Edits): object | undefined {
  const edits = (said: Edits['RequestHeaders']): object | undefined => {
    if (!said) return undefined
    const { Add: add, Set: set, Remove: remove } = said
    return Object.keys(add).length + Object.keys(set).length + remove.length === 0 ? undefined : { add, set, remove }
  }
  const [forRequest, forResponse] = [edits(request), edits(response)]
  if (forRequest === undefined && forResponse === undefined) return undefined
  return {
    ...(forRequest === undefined ? {} : { request: forRequest }),
    ...(forResponse === undefined ? {} : { response: forResponse }),
  }
}

function destinationRule(resolver: ServiceResolver, chain: Chain): object {
  const subsets = Object.entries(resolver.Subsets).map(([name, { Filter }]) => {
    const labels = labelsOf(Filter)
    if (labels === undefined) {
      chain.problems.push({
        message: `Subsets.${name}.Filter '${Filter}' compares other things than meta and tags`,
        isLoss: true,
      })
    }
    return { name, labels: labels ?? {} }
  })
  if (Object.keys(resolver.Failover ?? {}).length > 0) {
    chain.problems.push({ message: 'Failover is passed over: see localityLbSetting of a DestinationRule', isLoss: false })
  }
  const loadBalancer = loadBalancerOf(resolver.LoadBalancer, chain)
  const trafficPolicy = {
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(isTime(resolver.ConnectTimeout) ? { connectionPool: { tcp: { connectTimeout: resolver.ConnectTimeout } } } : {}),
  }
  return {
    ...(subsets.length === 0 ? {} : { subsets }),
    ...(Object.keys(trafficPolicy).length === 0 ? {} : { trafficPolicy }),
  }
}

const simplePolicies: Readonly<Record<string, string>> = {
  random: 'RANDOM',
  round_robin: 'ROUND_ROBIN',
  least_request: 'LEAST_REQUEST',
}

function loadBalancerOf(said: ServiceResolver['LoadBalancer'], chain: Chain): object | undefined {
  if (!said || said.Policy === '') return undefined
  const simple = simplePolicies[said.Policy]
  if (simple !== undefined) return { simple }
  const [hash, ...others] = said.HashPolicies
  if (others.length > 0) chain.problems.push({ message: 'of several HashPolicies the first one is taken', isLoss: false })
  const by =
    hash === undefined
      ? undefined
      : hash.SourceIP
        ? { useSourceIp: true }
        : hash.Field === 'header'
          ? { httpHeaderName: hash.FieldValue }
          : hash.Field === 'query_parameter'
            ? { httpQueryParameterName: hash.FieldValue }
            : hash.Field === 'cookie'
              ? { httpCookie: { name: hash.FieldValue, path: hash.CookieConfig?.Path ?? '', ttl: cookieTtl(hash.CookieConfig) } }
              : undefined
  if (by === undefined || !['ring_hash', 'maglev'].includes(said.Policy)) {
    chain.problems.push({ message: `LoadBalancer.Policy ${said.Policy} is passed over`, isLoss: false })
    return undefined
  }
  const minimumRingSize = said.RingHashConfig?.MinimumRingSize ?? 0
  const algorithm =
    said.Policy === 'maglev'
      ? { maglev: {} }
      : minimumRingSize > 0
        ? { ringHash: { minimumRingSize: String(minimumRingSize) } }
        : {}
  return { consistentHash: { ...by, ...algorithm } }
}

function cookieTtl(cookie: { Session: boolean; TTL: string } | null | undefined): string {
  return cookie && !cookie.Session && isTime(cookie.TTL) ? cookie.TTL : '0s'
}

/** Labels that say the same as a filter over instances: comparisons of meta and tags, all of which hold. */
function labelsOf(filter: string): Record<string, string> | undefined {
  const labels: Record<string, string> = {}
  if (filter.trim() === '') return labels
  for (const term of filter.split(/\s+and\s+/)) {
    const meta = /^\s*Service\.Meta(?:\.([\w-]+)|\["([^"]+)"\])\s*==\s*(?:"([^"]*)"|(\S+))\s*$/.exec(term)
    const tag = /^\s*(?:"([^"]+)"|(\S+))\s+in\s+Service\.Tags\s*$/.exec(term)
    const tagText = tag?.[1] ?? tag?.[2]
    if (meta !== null) labels[meta[1] ?? meta[2] ?? ''] = meta[3] ?? meta[4] ?? ''
    else if (tagText !== undefined) {
      const [, key = tagText, value = ''] = /^([^=|]+)[=|](.*)$/s.exec(tagText) ?? []
      labels[key] = value
    } else return undefined
  }
  return labels
}

function when(key: string, value: string): Record<string, string> {
  return value === '' ? {} : { [key]: value }
}

function isTime(text: string): boolean {
  return text !== '' && text !== '0s'
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}
