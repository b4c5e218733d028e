import type { Service } from '../../model/service.ts'
import type { ProxyNode } from '../../scope/proxy-node.ts'

/**
 * The names by which a client may call a host, each with and without the port: the full name, what its resolver's
 * search list would complete (`reviews`, `reviews.default`, `reviews.default.svc`), and the service's addresses.
 */
export function domainsOf(host: string, port: number, service: Service | undefined, proxy: ProxyNode): string[] {
  const names = [host, ...shortNames(host, proxy.dnsDomain)]
  for (const address of service?.addresses ?? []) {
    if (!address.includes('/') && address !== '0.0.0.0') names.push(address.includes(':') ? `[${address}]` : address)
  }
  return names.flatMap((name) => (name === '*' ? [name] : [name, `${name}:${port}`]))
}

/** `namespace.svc.cluster.local` completes what shares its end: Kubernetes puts that search list into each pod. */
function shortNames(host: string, dnsDomain: string): string[] {
  const own = dnsDomain.split('.')
  const [ownNamespace, ...domain] = own
  if (ownNamespace === undefined || domain.length === 0) return []
  const suffix = `.${domain.join('.')}`
  if (!host.endsWith(suffix) || host.startsWith('*')) return []
  const rest = host.slice(0, -suffix.length)
  const [name, namespace, ...more] = rest.split('.')
  if (name === undefined || namespace === undefined || more.length > 0) return []
  const names = [`${name}.${namespace}.${domain[0]}`, `${name}.${namespace}`]
  if (namespace === ownNamespace) names.push(name)
  return names
}
