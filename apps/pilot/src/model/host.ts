import { isIP } from 'node:net'

/**
 * A host's full name: `reviews` in namespace `default` is `reviews.default.svc.cluster.local`. What has a dot, an
 * address and `*` are full already (Istio, Destination.host).
 */
export function fullHost(host: string, namespace: string, domain: string): string {
  if (host === '' || host === '*' || host.includes('.') || isIP(host) !== 0) return host
  return `${host}.${namespace}.svc.${domain}`
}

/** A gateway's `namespace/name`; `mesh` stays. */
export function fullGateway(gateway: string, namespace: string): string {
  if (gateway === 'mesh') return gateway
  if (gateway.startsWith('./')) return `${namespace}/${gateway.slice(2)}`
  if (gateway.includes('/')) return gateway
  const [name, other] = gateway.split('.')
  return other === undefined ? `${namespace}/${gateway}` : `${other}/${name}`
}

/** Whether a host falls under a pattern: the same, `*`, or `*.example.com` (a wildcard host falls under a wider one). */
export function hostMatches(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true
  if (!pattern.startsWith('*')) return false
  const suffix = pattern.slice(1)
  return host.startsWith('*') ? host.slice(1).endsWith(suffix) : host.endsWith(suffix)
}

/** What two host patterns have in common: the narrower one, if any. */
export function commonHost(a: string, b: string): string | undefined {
  if (hostMatches(a, b)) return b
  return hostMatches(b, a) ? a : undefined
}

/** Orders hosts from the most specific: exact ones, then wildcards by length. */
export function bySpecificity(a: string, b: string): number {
  const wildA = a.startsWith('*')
  const wildB = b.startsWith('*')
  if (wildA !== wildB) return wildA ? 1 : -1
  return b.length - a.length || (a < b ? -1 : a > b ? 1 : 0)
}

/** Whether labels carry all that a selector asks for; an empty selector asks for nothing. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false
  return true
}
