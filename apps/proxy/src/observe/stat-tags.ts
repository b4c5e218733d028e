import type { StatsConfig } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { WeftError } from '@weft/service/errors'
import { invalid } from '../plan/problems.ts'

/** A stat's name with the tags taken out of it. */
export interface TaggedName {
  name: string
  tags: readonly (readonly [name: string, value: string])[]
}

interface Extractor {
  tag: string
  /** The first group is what is taken out of the name, the second the tag's value. */
  pattern: RegExp
}

/** An address, or a prefix of its own up to the first dot. */
const listener = '(?:[_.\\d]*|[_\\[\\]aAbBcCdDeEfF\\d]*|[^.]+)'

/** Envoy's well-known tags, by the published names. Order is that in which they are tried. */
const wellKnown: readonly Extractor[] = [
  extractor('envoy.response_code', '_rq(_(\\d{3}))$'),
  extractor('envoy.response_code_class', '_rq_((\\d))xx$'),
  extractor('envoy.virtual_cluster', '^vhost\\.(?:.*?)\\.vcluster\\.((.*?)\\.)'),
  extractor('envoy.fault_downstream_cluster', '^http\\.(?:.*?)\\.fault\\.((.*?)\\.)\\w+?$'),
  extractor('envoy.ssl_cipher', '^listener\\..*?\\.ssl\\.ciphers(\\.(.*?))$'),
  extractor('envoy.cipher_suite', '^cluster\\..*?\\.ssl\\.ciphers(\\.(.*?))$'),
  extractor('envoy.tls_certificate', '^(?:listener|cluster)\\..*?\\.ssl\\.certificate(\\.([^.]+))\\.'),
  extractor('envoy.ssl_curve', 'ssl\\.curves(\\.(.*?))$'),
  extractor('envoy.ssl_version', 'ssl\\.versions(\\.(.*?))$'),
  extractor('envoy.grpc_bridge_method', '^cluster\\.(?:.*?)\\.grpc\\.(?:.*)\\.((.*?)\\.)(?:\\w+?)$'),
  extractor('envoy.grpc_bridge_service', '^cluster\\.(?:.*?)\\.grpc\\.((.*)\\.)\\w+?$'),
  extractor('envoy.http_user_agent', '^http\\.(?:.*?)\\.user_agent\\.((.*?)\\.)\\w+?$'),
  extractor('envoy.virtual_host', '^vhost\\.((.*?)\\.)'),
  extractor('envoy.rds_route_config', '^http\\.(?:.*?)\\.rds\\.((.*)\\.)\\w+?$'),
  extractor(
    'envoy.worker_id',
    `(?:^listener\\.${listener}\\.|^listener_manager\\.|^server\\.|^thread_local_cluster_manager\\.)worker_((\\d+)\\.)`,
  ),
  extractor('envoy.local_http_ratelimit_prefix', '^((.*?)\\.)http_local_rate_limit\\.'),
  extractor('envoy.local_network_ratelimit_prefix', '^local_rate_limit\\.((.*?)\\.)'),
  extractor('envoy.ratelimit_prefix', '^ratelimit\\.((.*?)\\.)\\w+?$'),
  extractor('envoy.tcp_prefix', '^tcp\\.((.*?)\\.)\\w+?$'),
  extractor('envoy.http_conn_manager_prefix', '^(?:|listener\\..*?\\.)http\\.((.*?)\\.)'),
  extractor('envoy.listener_address', `^listener\\.((?!admin\\.)(${listener})\\.)`),
  extractor('envoy.xds_resource_name', '^sds\\.((.*)\\.)\\w+?$'),
  extractor('envoy.cluster_name', '^cluster\\.((.*?)\\.)'),
]

/** How long a name may be for the operator's own expressions to be tried on it. */
const longestName = 1024

/** Refuses tags that nothing could find. Throws WeftError. */
export function checkStatTags(config: StatsConfig | undefined): void {
  for (const [i, { tagName, tagValue }] of (config?.statsTags ?? []).entries()) {
    const path = `stats_config.stats_tags[${i}]`
    if (tagValue?.$case === 'fixedValue') continue
    if (tagValue !== undefined && tagValue.value !== '') checkExpression(tagValue.value, `${path}.regex`)
    else if (!wellKnown.some(({ tag }) => tag === tagName))
      throw invalid(path, `No regex specified for tag specifier and no default regex for name: '${tagName}'`)
  }
}

/** Tags are found by expressions of ECMAScript, which look ahead too, and not by RE2's. */
function checkExpression(source: string, path: string): void {
  try {
    extractor('', posix(source))
  } catch (error) {
    throw invalid(path, `Invalid regex '${source}': ${WeftError.from(error).message}`)
  }
}

/** Makes the function that takes tags out of names: the bootstrap's own first, then Envoy's, each name's outcome kept. */
export function tagExtractor(
  config: StatsConfig | undefined,
  always: readonly { name: string; value: string }[],
): (name: string) => TaggedName {
  const fixed: [string, string][] = always.map(({ name, value }) => [name, value])
  const extractors: Extractor[] = []
  for (const { tagName, tagValue } of config?.statsTags ?? []) {
    if (tagValue?.$case === 'fixedValue') fixed.push([tagName, tagValue.value])
    else if (tagValue?.$case === 'regex' && tagValue.value !== '') extractors.push(extractor(tagName, posix(tagValue.value)))
    else extractors.push(...wellKnown.filter(({ tag }) => tag === tagName))
  }
  if (config?.useAllDefaultTags !== false) extractors.push(...wellKnown)
  const known = new Map<string, TaggedName>()
  return (name) => {
    let tagged = known.get(name)
    if (tagged === undefined) {
      tagged = extract(name, extractors, fixed)
      if (known.size < 100_000) known.set(name, tagged)
    }
    return tagged
  }
}

/** A stat's name without tags, and all of them: those found in it, and those that it brings itself. */
export function untagged(
  { name, tags }: { readonly name: string; readonly tags: Readonly<Record<string, string>> },
  tagged: (name: string) => TaggedName,
): TaggedName {
  const own = Object.entries(tags)
  if (own.length === 0) return tagged(name)
  const found = tagged(baseName(name, own))
  return { name: found.name, tags: [...found.tags, ...own] }
}

/** A stat that brings tags may stand under a name made unique by them: as Envoy writes them behind it, or after a `;`. */
function baseName(name: string, tags: readonly (readonly [string, string])[]): string {
  const written = tags.map(([tag, value]) => (value === '' ? `.${tag}` : `.${tag}.${value}`)).join('')
  if (name.endsWith(written)) return name.slice(0, -written.length)
  const at = name.indexOf(';')
  return at < 0 ? name : name.slice(0, at)
}

function extract(name: string, extractors: readonly Extractor[], fixed: readonly [string, string][]): TaggedName {
  if (name.length > longestName) return { name, tags: fixed }
  const tags = new Map<string, string>()
  const removals: [number, number][] = []
  for (const { tag, pattern } of extractors) {
    if (tags.has(tag)) continue
    const match = pattern.exec(name)
    const range = match?.indices?.[1]
    if (match === null || range === undefined) continue
    tags.set(tag, match[2] ?? match[1] ?? '')
    removals.push(range)
  }
  removals.sort((a, b) => a[0] - b[0])
  let rest = ''
  let at = 0
  for (const [start, end] of removals) {
    if (start > at) rest += name.slice(at, start)
    at = Math.max(at, end)
  }
  return { name: rest + name.slice(at), tags: [...fixed, ...tags] }
}

function extractor(tag: string, source: string): Extractor {
  return { tag, pattern: new RegExp(source, 'd') }
}

/** RE2's POSIX classes, which ECMAScript lacks. */
function posix(source: string): string {
  return source
    .replaceAll('[:digit:]', '\\d')
    .replaceAll('[:alpha:]', 'a-zA-Z')
    .replaceAll('[:alnum:]', 'a-zA-Z0-9')
    .replaceAll('[:word:]', '\\w')
    .replaceAll('[:space:]', '\\s')
}
