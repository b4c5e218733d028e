import { lookup, Resolver } from 'node:dns/promises'

export interface Resolved {
  /** Empty: the name is known to have none. */
  addresses: string[]
  /** How long the answer holds; undefined when the resolver does not tell. */
  ttlMs: number | undefined
}

/** Resolves a name to addresses of one family; rejects where nobody can tell. */
export type Resolve = (name: string, wanted: 4 | 6) => Promise<Resolved>

/** The system's way to ask, where `servers` names none: its hosts file and resolver; DNS alone tells how long an answer holds. */
export function createResolve(servers: readonly string[], withTtl: boolean): Resolve {
  const ask = async (name: string, wanted: 4 | 6): Promise<Resolved> => {
    const resolver = new Resolver({ timeout: 5_000, tries: 2 })
    if (servers.length > 0) resolver.setServers(servers)
    const records = await none(() =>
      wanted === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true }),
    )
    const ttlMs = records.length === 0 ? undefined : Math.min(...records.map(({ ttl }) => ttl)) * 1000
    return { addresses: records.map(({ address }) => address), ttlMs }
  }
  if (servers.length > 0) return ask
  return async (name, wanted) => {
    if (withTtl) {
      const answer = await ask(name, wanted).catch(() => undefined)
      if (answer !== undefined && answer.addresses.length > 0) return answer
    }
    const addresses = await none(() => lookup(name, { all: true, family: wanted }))
    return { addresses: [...new Set(addresses.map(({ address }) => address))], ttlMs: undefined }
  }
}

/** No such name, or no such address of it, is an answer. */
async function none<T>(ask: () => Promise<T[]>): Promise<T[]> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOTFOUND' || error.code === 'ENODATA')) return []
    throw error
  }
}

/** Cluster.DnsLookupFamily. */
const family = { auto: 0, v4Only: 1, v6Only: 2, v4Preferred: 3, all: 4 } as const

/** Resolves a name to addresses of the families that a Cluster.DnsLookupFamily asks for. */
export async function resolveByFamily(resolve: Resolve, name: string, lookupFamily: number): Promise<Resolved> {
  const ask = (wanted: 4 | 6): Promise<Resolved> => resolve(name, wanted)
  const either = async (first: 4 | 6, second: 4 | 6): Promise<Resolved> => {
    const answer = await ask(first).catch(() => undefined)
    return answer !== undefined && answer.addresses.length > 0 ? answer : ask(second)
  }
  switch (lookupFamily) {
    case family.v4Only:
      return ask(4)
    case family.v6Only:
      return ask(6)
    case family.v4Preferred:
      return either(4, 6)
    case family.all: {
      const answers = await Promise.allSettled([ask(4), ask(6)])
      const good = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
      if (good.length === 0) return ask(4)
      const ttls = good.flatMap(({ ttlMs }) => (ttlMs === undefined ? [] : [ttlMs]))
      return {
        addresses: good.flatMap(({ addresses }) => addresses),
        ttlMs: ttls.length === 0 ? undefined : Math.min(...ttls),
      }
    }
    default:
      return either(6, 4)
  }
}
