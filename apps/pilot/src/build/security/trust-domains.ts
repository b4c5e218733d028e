import type { MeshSettings } from '../../model/mesh-settings.ts'

/** The mesh's own trust domain, and others that stand for it (while it is being renamed). */
export type TrustDomains = readonly [own: string, ...aliases: string[]]

export function trustDomainsOf({ trustDomain, trustDomainAliases }: MeshSettings): TrustDomains {
  return [trustDomain, ...trustDomainAliases.filter((alias) => alias !== trustDomain)]
}

/** How policies name the mesh's own trust domain, whatever it is called. */
const ownByAnyName = 'cluster.local'

/**
 * Principals `<trust domain>/ns/<namespace>/sa/<account>` in each of the mesh's trust domains, where they name one of them.
 * Other texts (`*`, a suffix or prefix that leaves the trust domain open) stay as they are.
 */
export function expandTrustDomains(principals: readonly string[], domains: TrustDomains): string[] {
  const expanded = new Set<string>()
  for (const principal of principals) {
    const parts = principal.split('/')
    const [stated = ''] = parts
    if (parts.length !== 5 || !(stated === ownByAnyName || domains.some((domain) => names(stated, domain)))) {
      expanded.add(principal)
      continue
    }
    for (const domain of domains) {
      // `*-prod/ns/…` covers a domain it matches as it is.
      expanded.add(stated.startsWith('*') && names(stated, domain) ? principal : [domain, ...parts.slice(1)].join('/'))
    }
  }
  return [...expanded]
}

function names(stated: string, domain: string): boolean {
  return stated.startsWith('*') ? domain.endsWith(stated.slice(1)) : stated === domain
}
