import { WeftError } from '@weft/service/errors'

/** A SPIFFE id that names a workload: `spiffe://<trust domain>/<path>`. */
export interface SpiffeId {
  /** The id as text. */
  uri: string
  trustDomain: string
  /** With its leading slash; empty for the id of a trust domain itself. */
  path: string
  /** Set when the path has the mesh's form, `/ns/<namespace>/sa/<service account>`. */
  workload: { namespace: string; serviceAccount: string } | undefined
}

const maxUriLength = 2048
const maxTrustDomainLength = 255

/**
 * Reads a SPIFFE id by the SPIFFE-ID specification, section 2: lower-case trust domain of letters, digits, `.`, `-`, `_`;
 * path segments of letters, digits, `.`, `-`, `_`, none empty, `.` or `..`; no user, port, query or fragment; at most
 * 2048 bytes. Throws `invalid_argument` that says which rule is broken.
 */
export function parseSpiffeId(uri: string): SpiffeId {
  const bad = (reason: string): WeftError =>
    new WeftError('invalid_argument', `'${uri.slice(0, 200)}' is not a SPIFFE id: ${reason}`, {
      hint: 'write spiffe://<trust domain>/ns/<namespace>/sa/<service account>',
    })
  if (uri.length > maxUriLength) throw bad(`it is longer than ${maxUriLength} bytes`)
  if (!uri.startsWith('spiffe://')) throw bad('it does not start with spiffe://')
  const slash = uri.indexOf('/', 9)
  const trustDomain = slash === -1 ? uri.slice(9) : uri.slice(9, slash)
  const path = slash === -1 ? '' : uri.slice(slash)
  const domainProblem = trustDomainProblem(trustDomain)
  if (domainProblem !== undefined) throw bad(domainProblem)
  const segments = path === '' ? [] : path.slice(1).split('/')
  for (const segment of segments) {
    if (segment === '') throw bad('the path has an empty segment')
    if (segment === '.' || segment === '..') throw bad(`the path has the segment '${segment}'`)
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) throw bad("a path segment has a character other than letters, digits, '.', '-', '_'")
  }
  return { uri, trustDomain, path, workload: workloadOf(segments) }
}

/** As parseSpiffeId, but undefined for what is no SPIFFE id. */
export function tryParseSpiffeId(uri: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(uri)
  } catch {
    return undefined
  }
}

/** Checks a trust domain's name and gives it back. */
export function parseTrustDomain(name: string): string {
  const problem = trustDomainProblem(name)
  if (problem === undefined) return name
  throw new WeftError('invalid_argument', `'${name.slice(0, 200)}' is not a trust domain: ${problem}`, {
    hint: 'use a name like cluster.local',
  })
}

/**
 * The id of a workload in the mesh's form. An `@` in the trust domain (a federated account's mail address) becomes a dot,
 * as in Istio.
 */
export function workloadId(trustDomain: string, namespace: string, serviceAccount: string): SpiffeId {
  if (namespace === '' || serviceAccount === '') {
    throw new WeftError('invalid_argument', 'namespace or service account empty for SPIFFE uri')
  }
  const id = parseSpiffeId(`spiffe://${trustDomain.replaceAll('@', '.')}/ns/${namespace}/sa/${serviceAccount}`)
  if (id.workload !== undefined) return id
  throw new WeftError('invalid_argument', `'${namespace}' or '${serviceAccount}' cannot stand in a SPIFFE id`)
}

/**
 * These ids, and each workload's again under every other trust domain: what a mesh with aliases of its trust domain accepts.
 * What is no workload's id stays as it is. Without duplicates.
 */
export function expandTrustDomains(uris: readonly string[], trustDomains: readonly string[]): string[] {
  const all = new Set<string>()
  for (const uri of uris) {
    all.add(uri)
    const id = tryParseSpiffeId(uri)
    if (id?.workload !== undefined) for (const domain of trustDomains) all.add(`spiffe://${domain}${id.path}`)
  }
  return [...all]
}

function workloadOf(segments: string[]): SpiffeId['workload'] {
  const [ns, namespace, sa, serviceAccount] = segments
  if (segments.length !== 4 || ns !== 'ns' || sa !== 'sa') return undefined
  return namespace === undefined || serviceAccount === undefined ? undefined : { namespace, serviceAccount }
}

function trustDomainProblem(name: string): string | undefined {
  if (name === '') return 'the trust domain is empty'
  if (name.length > maxTrustDomainLength) return `the trust domain is longer than ${maxTrustDomainLength} bytes`
  if (name.includes('@')) return 'the trust domain has a user part'
  if (name.includes(':')) return 'the trust domain has a port'
  return /^[a-z0-9._-]+$/.test(name) ? undefined : "the trust domain has a character other than a-z, 0-9, '.', '-', '_'"
}
