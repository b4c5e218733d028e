import { isIPv4 } from 'node:net'
import type { CidrRange } from '@weft/contracts/envoy/config/core/v3/address'
import {
  type FilterChainMatch,
  FilterChainMatch_ConnectionSourceType as SourceType,
} from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { compileRanges } from '../transport/address.ts'
import { invalid } from './problems.ts'

/** What is known of a connection when its filter chain is chosen. */
export interface ConnectionTraits {
  localAddress: string
  localPort: number
  remoteAddress: string
  remotePort: number
  /** The peer by its socket, where a PROXY header says that another connected. */
  directRemoteAddress: string
  serverName: string
  transportProtocol: 'tls' | 'raw_buffer'
  applicationProtocols: readonly string[]
}

/** Chooses the filter chain of a connection; null: none takes it. */
export interface FilterChainChoice<T> {
  find(traits: ConnectionTraits): T | null
}

/** How well a connection fits one criterion: -1 not at all, else the higher the more specific (0: the criterion is not given). */
type Criterion = (traits: ConnectionTraits) => number

/**
 * Chooses among filter chains in Envoy's order: destination port, destination address, server name, transport protocol,
 * application protocol, direct source, source type, source address, source port. At each step only the most specific that fit go on;
 * there is no way back from a step.
 */
export class FilterChainMatcher<T> implements FilterChainChoice<T> {
  private readonly entries: { criteria: readonly Criterion[]; chain: T }[] = []
  private readonly seen = new Set<string>()
  private readonly fallback: T | null
  private trivial: T | null = null

  constructor(fallback: T | null) {
    this.fallback = fallback
  }

  add(match: FilterChainMatch | undefined, chain: T, path: string): void {
    const keys = match === undefined ? [''] : rulesOf(match, path)
    if (keys.some((key) => this.seen.has(key)) || new Set(keys).size < keys.length)
      throw invalid(path, 'multiple filter chains with overlapping matching rules are defined')
    for (const key of keys) this.seen.add(key)
    const criteria = match === undefined ? [] : compileCriteria(match, path)
    this.entries.push({ criteria, chain })
    this.trivial = this.entries.length === 1 && criteria.every((criterion) => criterion === any) ? chain : null
  }

  /** Whether the choice depends on what only the first bytes tell. */
  find(traits: ConnectionTraits): T | null {
    if (this.trivial !== null) return this.trivial
    let left = this.entries
    for (let step = 0; step < steps; step++) {
      let best = -1
      let next: typeof left = []
      for (const entry of left) {
        const fit = (entry.criteria[step] ?? any)(traits)
        if (fit < 0 || fit < best) continue
        if (fit > best) {
          best = fit
          next = []
        }
        next.push(entry)
      }
      left = next
      if (left.length === 0) return this.fallback
    }
    return left[0]?.chain ?? this.fallback
  }
}

/** More are not told apart. */
const mostRules = 10_000

/** Each single rule that a match stands for: one value of every criterion. */
function rulesOf(match: FilterChainMatch, path: string): string[] {
  const choices: readonly (readonly (string | number)[])[] = [
    [match.destinationPort ?? ''],
    match.prefixRanges.map(networkOf),
    match.serverNames.map((name) => name.toLowerCase()),
    [match.transportProtocol],
    match.applicationProtocols,
    match.directSourcePrefixRanges.map(networkOf),
    [match.sourceType === SourceType.ANY ? '' : match.sourceType],
    match.sourcePrefixRanges.map(networkOf),
    match.sourcePorts,
  ]
  let rules = ['']
  for (const choice of choices) {
    const values = choice.length === 0 ? [''] : choice
    if (rules.length * values.length > mostRules) throw invalid(path, `more than ${mostRules} combinations of what is matched`)
    rules = rules.flatMap((rule) => values.map((value) => `${rule}|${value}`))
  }
  const nothing = '|'.repeat(choices.length)
  return rules.map((rule) => (rule === nothing ? '' : rule))
}

/** A range without the bits behind its prefix. */
function networkOf({ addressPrefix, prefixLen = 0 }: CidrRange): string {
  if (!isIPv4(addressPrefix)) return `${addressPrefix.toLowerCase()}/${prefixLen}`
  const length = Math.min(prefixLen, 32)
  const bits = addressPrefix.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  return `${Math.floor(bits / 2 ** (32 - length))}/${length}`
}

const steps = 9
const any: Criterion = () => 0

function compileCriteria(match: FilterChainMatch, path: string): Criterion[] {
  return [
    match.destinationPort === undefined ? any : exactly((traits) => traits.localPort, match.destinationPort),
    ranges(match.prefixRanges, `${path}.prefix_ranges`, (traits) => traits.localAddress),
    serverNames(match.serverNames, path),
    match.transportProtocol === '' ? any : exactly((traits) => traits.transportProtocol, match.transportProtocol),
    match.applicationProtocols.length === 0
      ? any
      : (traits) => (traits.applicationProtocols.some((one) => match.applicationProtocols.includes(one)) ? 1 : -1),
    ranges(match.directSourcePrefixRanges, `${path}.direct_source_prefix_ranges`, (traits) => traits.directRemoteAddress),
    sourceType(match.sourceType),
    ranges(match.sourcePrefixRanges, `${path}.source_prefix_ranges`, (traits) => traits.remoteAddress),
    match.sourcePorts.length === 0 ? any : (traits) => (match.sourcePorts.includes(traits.remotePort) ? 1 : -1),
  ]
}

function exactly(read: (traits: ConnectionTraits) => unknown, wanted: unknown): Criterion {
  return (traits) => (read(traits) === wanted ? 1 : -1)
}

function ranges(source: readonly CidrRange[], path: string, read: (traits: ConnectionTraits) => string): Criterion {
  if (source.length === 0) return any
  const sets = source.map((range, i) => ({
    holds: compileRanges([range], `${path}[${i}]`),
    length: Math.min(range.prefixLen ?? 0, isIPv4(range.addressPrefix) ? 32 : 128),
  }))
  return (traits) => {
    const address = read(traits)
    let best = -1
    for (const { holds, length } of sets) if (length + 1 > best && holds(address)) best = length + 1
    return best
  }
}

function serverNames(names: readonly string[], path: string): Criterion {
  if (names.length === 0) return any
  const exact = new Set<string>()
  const suffixes: string[] = []
  names.forEach((name, i) => {
    const lower = name.toLowerCase()
    if (lower.startsWith('*.')) suffixes.push(lower.slice(1))
    else if (lower.includes('*')) throw invalid(`${path}.server_names[${i}]`, `partial wildcards are not supported: '${name}'`)
    else exact.add(lower)
  })
  return (traits) => {
    const name = traits.serverName
    if (exact.has(name)) return 1_000
    let best = -1
    for (const suffix of suffixes) if (name.length > suffix.length && name.endsWith(suffix)) best = Math.max(best, suffix.length)
    return best
  }
}

function sourceType(type: SourceType): Criterion {
  if (type === SourceType.ANY) return any
  const local = type === SourceType.SAME_IP_OR_LOOPBACK
  return (traits) => {
    const isLocal =
      traits.remoteAddress === traits.localAddress || traits.remoteAddress === '127.0.0.1' || traits.remoteAddress === '::1'
    return isLocal === local ? 1 : -1
  }
}
