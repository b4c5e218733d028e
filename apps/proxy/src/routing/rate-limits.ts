import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import {
  type RateLimit,
  type RateLimit_Action,
  type RateLimit_HitsAddend,
  RateLimit_XRateLimitOption,
  RateLimit_Action_MetaData_Source as Source,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import { Descriptor as ExpressionDescriptor } from '@weft/contracts/envoy/extensions/rate_limit_descriptors/expr/v3/expr'
import type { MetadataKey } from '@weft/contracts/envoy/type/metadata/v3/metadata'
import { RateLimitUnit } from '@weft/contracts/envoy/type/v3/ratelimit_unit'
import { headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { compileParsed, compileText } from '../expressions/expression.ts'
import { resultText } from '../expressions/result-text.ts'
import type { FormatContext } from '../observe/format/context.ts'
import { compileTextFormat } from '../observe/format/text-format.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import type { Runtime } from '../plan/runtime.ts'
import { metadataReader } from '../shared/metadata-path.ts'
import { compileRanges } from '../transport/address.ts'
import { compileHeaderMatcher } from './matchers/header-matcher.ts'
import { compileQueryParameterMatcher, queryParameter } from './matchers/query-parameter-matcher.ts'

/** What of a request a rate limit counts by. */
export interface Descriptor {
  entries: { key: string; value: string }[]
  /** The limit that is asked for instead of the service's own. */
  limit: { requestsPerUnit: number; unit: RateLimitUnit } | null
  /** How many hits the request counts for; null: one, or what the service takes for one. */
  hits: number | null
  /** Hits are given back. */
  negative: boolean
  /** Whether the limit is told in `x-ratelimit-*`; null: as the filter says. */
  told: boolean | null
}

/** A request as rate limits see it. */
export interface LimitedRequest {
  readonly request: RequestHead
  /** What formats and expressions read. */
  readonly format: FormatContext
  readonly info: { readonly downstreamRemoteAddress: string }
  /** Empty when there is none (yet). */
  readonly clusterName: string
  readonly route: { readonly metadata: Readonly<Record<string, unknown>> } | null
  readonly metadataOrNull: Readonly<Record<string, Record<string, unknown>>> | null
}

/** One rate limit of a route or virtual host, compiled. */
export interface RateLimitPolicy {
  readonly stage: number
  readonly disableKey: string
  /** Counts when the request is over, not before it goes on. */
  readonly onDone: boolean
  /** null: the request lacks something that the limit counts by. `localCluster`: --service-cluster. */
  describe(stream: LimitedRequest, localCluster: string): Descriptor | null
}

/**
 * Compiles the rate limits that a filter has of its own, or an override of it for a route: they are for this filter alone, so
 * that what sorts those of routes means nothing. Throws WeftError.
 */
export function compileFilterRateLimits(limits: readonly RateLimit[], path: string): readonly RateLimitPolicy[] {
  for (const [i, { stage, disableKey }] of limits.entries()) {
    if (stage !== undefined || disableKey !== '')
      throw invalid(`${path}[${i}]`, "'stage' field and 'disable_key' field are not supported here")
  }
  return limits.map((limit, i) => compileRateLimit(limit, `${path}[${i}]`, true))
}

/** Compiles the rate limits of a route or a virtual host, where (as in Envoy) hits_addend has no effect. */
export function compileRateLimits(limits: readonly RateLimit[], path: string): readonly RateLimitPolicy[] {
  return limits.map((limit, i) => compileRateLimit(limit, `${path}[${i}]`, false))
}

/** Rate limits that hold on a route. */
export interface RouteRateLimits {
  readonly own: readonly RateLimitPolicy[]
  readonly ofHost: readonly RateLimitPolicy[]
  /** The virtual host's count besides the route's own, whatever the filter says. */
  readonly includeHost: boolean
}

/** Which rate limits are asked about, and for whom. */
export interface RateLimitScope {
  stage: number
  /** Those that count when the request is over. */
  onDone: boolean
  /** Of --service-cluster. */
  localCluster: string
  runtime: Runtime
}

/** Adds the descriptors of a request; a limit whose runtime key is off gives none. */
export function describeRequest(
  policies: readonly RateLimitPolicy[],
  { stage, onDone, localCluster, runtime }: RateLimitScope,
  stream: LimitedRequest,
  descriptors: Descriptor[],
): void {
  for (const policy of policies) {
    if (policy.stage !== stage || policy.onDone !== onDone) continue
    if (policy.disableKey !== '' && !drawn(runtime, `ratelimit.${policy.disableKey}.http_filter_enabled`)) continue
    const descriptor = policy.describe(stream, localCluster)
    if (descriptor !== null) descriptors.push(descriptor)
  }
}

/** On in as many of a hundred cases as the key says; without it, always. */
export function drawn(runtime: Runtime, key: string): boolean {
  const percent = runtime.number(key, 100)
  return percent >= 100 || runtime.random() * 100 < percent
}

/** Adds an entry; false: the whole descriptor is off. */
type Action = (stream: LimitedRequest, entries: Descriptor['entries'], localCluster: string) => boolean

function compileRateLimit(source: RateLimit, path: string, countsHits: boolean): RateLimitPolicy {
  const actions = source.actions.map((action, i) => compileAction(action, `${path}.actions[${i}]`))
  const limitOf = compileLimit(source)
  const hitsOf = countsHits ? compileHits(source.hitsAddend, `${path}.hits_addend`) : () => null
  const told = toldBy(source.xRatelimitOption)
  const negative = countsHits && (source.hitsAddend?.isNegativeHits ?? false)
  return {
    stage: source.stage ?? 0,
    disableKey: source.disableKey,
    onDone: source.applyOnStreamDone,
    describe(stream, localCluster) {
      const entries: Descriptor['entries'] = []
      for (const action of actions) if (!action(stream, entries, localCluster)) return null
      const count = hitsOf(stream)
      return Number.isNaN(count) ? null : { entries, limit: limitOf(stream), hits: count, negative, told }
    },
  }
}

function toldBy(option: RateLimit_XRateLimitOption): boolean | null {
  return option === RateLimit_XRateLimitOption.UNSPECIFIED ? null : option === RateLimit_XRateLimitOption.DRAFT_VERSION_03
}

function compileLimit({ limit }: RateLimit): (stream: LimitedRequest) => Descriptor['limit'] {
  const override = limit?.overrideSpecifier
  if (override?.$case === 'rateLimit') {
    const fixed = override.value
    return () => fixed
  }
  if (override?.value.metadataKey === undefined) return () => null
  const read = metadataReader(override.value.metadataKey)
  return (stream) => readLimit(read(stream.metadataOrNull))
}

function readLimit(value: unknown): Descriptor['limit'] {
  if (typeof value !== 'object' || value === null) return null
  const requestsPerUnit: unknown = Reflect.get(value, 'requests_per_unit')
  const name: unknown = Reflect.get(value, 'unit')
  if (typeof requestsPerUnit !== 'number' || typeof name !== 'string') return null
  const units: Readonly<Record<string, RateLimitUnit>> = RateLimitUnit
  return { requestsPerUnit, unit: units[name.toUpperCase()] ?? RateLimitUnit.UNKNOWN }
}

/** NaN: the format gives no number, and the request is not counted. */
function compileHits(source: RateLimit_HitsAddend | undefined, path: string): (stream: LimitedRequest) => number | null {
  if (source === undefined) return () => null
  if (source.format === '') {
    if (source.number === undefined) throw invalid(path, 'must contain either a format or a number')
    return () => source.number ?? null
  }
  if (source.number !== undefined) throw invalid(path, 'only one of number and format may be set')
  if (!/^%[^%]+%$/.test(source.format)) throw invalid(`${path}.format`, 'is one command operator', '%BYTES_SENT%')
  const format = compileTextFormat(source.format, `${path}.format`, '')
  return (stream) => {
    const text = format(stream.format)
    return /^\d+(\.\d+)?$/.test(text) ? Math.floor(Number(text)) : Number.NaN
  }
}

function compileAction({ actionSpecifier: action }: RateLimit_Action, path: string): Action {
  switch (action?.$case) {
    case undefined:
      throw invalid(path, 'an action is needed')
    case 'sourceCluster':
      return (_stream, entries, value) => add(entries, 'source_cluster', value)
    case 'destinationCluster':
      return (stream, entries) => add(entries, 'destination_cluster', stream.clusterName)
    case 'requestHeaders': {
      const { descriptorKey, skipIfAbsent } = action.value
      const read = firstValue(action.value.headerName)
      return (stream, entries) => {
        const value = read(stream)
        return value === null ? skipIfAbsent : add(entries, descriptorKey, value)
      }
    }
    case 'remoteAddress':
      return (stream, entries) => addPresent(entries, 'remote_address', stream.info.downstreamRemoteAddress)
    case 'maskedRemoteAddress': {
      const { v4PrefixMaskLen = 32, v6PrefixMaskLen = 128 } = action.value
      return ({ info: { downstreamRemoteAddress: address } }, entries) =>
        addPresent(entries, 'masked_remote_address', masked(address, v4PrefixMaskLen, v6PrefixMaskLen))
    }
    case 'genericKey': {
      const { descriptorKey, descriptorValue } = action.value
      return (_stream, entries) => add(entries, descriptorKey || 'generic_key', descriptorValue)
    }
    case 'headerValueMatch': {
      const { descriptorKey, descriptorValue, expectMatch = true } = action.value
      const matchers = action.value.headers.map((one, i) => compileHeaderMatcher(one, `${path}.header_value_match.headers[${i}]`))
      return (stream, entries) =>
        matchers.every((matches) => matches(stream.request)) === expectMatch &&
        add(entries, descriptorKey || 'header_match', descriptorValue)
    }
    case 'queryParameterValueMatch': {
      const { descriptorKey, descriptorValue, expectMatch = true } = action.value
      const matchers = action.value.queryParameters.map((one, i) =>
        compileQueryParameterMatcher(one, `${path}.query_parameter_value_match.query_parameters[${i}]`),
      )
      return (stream, entries) =>
        matchers.every((matches) => matches(stream.request.path)) === expectMatch &&
        add(entries, descriptorKey || 'query_match', descriptorValue)
    }
    case 'queryParameters': {
      const { queryParameterName, descriptorKey, skipIfAbsent } = action.value
      return (stream, entries) => {
        const value = queryParameter(stream.request.path, queryParameterName)
        return value === null ? skipIfAbsent : add(entries, descriptorKey, percentDecoded(value))
      }
    }
    case 'remoteAddressMatch': {
      const { descriptorKey, descriptorValue, defaultValue, addressMatcher } = action.value
      const format = compileTextFormat(descriptorValue, `${path}.remote_address_match.descriptor_value`, '')
      const matches = compileRanges(addressMatcher?.ranges ?? [], `${path}.remote_address_match.address_matcher.ranges`)
      const expected = addressMatcher?.invertMatch !== true
      return (stream, entries) =>
        matches(stream.info.downstreamRemoteAddress) === expected &&
        addPresent(entries, descriptorKey || 'remote_address_match', format(stream.format) || defaultValue)
    }
    case 'dynamicMetadata': {
      const { descriptorKey, metadataKey, defaultValue } = action.value
      return fromMetadata(descriptorKey, metadataKey, defaultValue, false, metadataSource(Source.DYNAMIC))
    }
    case 'metadata': {
      const { descriptorKey, metadataKey, defaultValue, skipIfAbsent, source } = action.value
      return fromMetadata(descriptorKey, metadataKey, defaultValue, skipIfAbsent, metadataSource(source))
    }
    case 'extension':
      return compileExtension(action.value, `${path}.extension`)
  }
}

/** An entry whose value an expression gives; without one, the request is not counted, or counted without the entry. */
function compileExtension({ name, typedConfig }: TypedExtensionConfig, path: string): Action {
  if (typedConfig?.typeUrl.endsWith('/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor') !== true)
    throw unsupported(path, `rate limit descriptor extension '${name}'`)
  const { descriptorKey: key, skipIfError, exprSpecifier: source } = ExpressionDescriptor.decode(typedConfig.value)
  if (source === undefined)
    throw invalid(`${path}.typed_config`, 'rate limit descriptor extension failed: an expression is needed')
  const at = `${path}.typed_config.${source.$case}`
  const evaluate = source.$case === 'text' ? compileText(source.value, at) : compileParsed(source.value, at)
  return (stream, entries) => {
    const value = resultText(evaluate(stream.format))
    if (value !== null) entries.push({ key, value })
    return value !== null || skipIfError
  }
}

function percentDecoded(text: string): string {
  return Buffer.from(
    text.replaceAll(/%([0-9a-f]{2})/gi, (_match, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString()
}

function add(entries: Descriptor['entries'], key: string, value: string): boolean {
  entries.push({ key, value })
  return true
}

function addPresent(entries: Descriptor['entries'], key: string, value: string): boolean {
  return value !== '' && add(entries, key, value)
}

function firstValue(name: string): (stream: LimitedRequest) => string | null {
  const lower = name.toLowerCase()
  if (lower === ':method') return ({ request }) => request.method
  if (lower === ':path') return ({ request }) => request.path
  if (lower === ':scheme') return ({ request }) => request.scheme
  if (lower === ':authority' || lower === 'host') return ({ request }) => request.authority || null
  const header = headerName(name)
  return ({ request }) => request.headers.get(header)
}

function metadataSource(source: Source): (stream: LimitedRequest) => Readonly<Record<string, unknown>> | null {
  switch (source) {
    case Source.ROUTE_ENTRY:
      return ({ route }) => route?.metadata ?? null
    case Source.CLUSTER_ENTRY:
      return ({ format }) => format.clusterMetadata
    case Source.CLUSTER_LOCALITY_ENTRY:
      // No endpoint has been picked when limits are asked about.
      return () => null
    default:
      return ({ metadataOrNull }) => metadataOrNull
  }
}

function fromMetadata(
  key: string,
  metadataKey: MetadataKey | undefined,
  defaultValue: string,
  skipIfAbsent: boolean,
  from: (stream: LimitedRequest) => Readonly<Record<string, unknown>> | null,
): Action {
  const read = metadataReader(metadataKey)
  return (stream, entries) => {
    const found = read(from(stream))
    const value = typeof found === 'string' && found !== '' ? found : defaultValue
    return value === '' ? skipIfAbsent : add(entries, key, value)
  }
}

/** The network of an address, `10.1.0.0/16`; empty for what is no IP address. */
function masked(address: string, v4Length: number, v6Length: number): string {
  if (address.includes(':')) return `${formatV6(maskBytes(parseV6(address), v6Length))}/${v6Length}`
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(address)) return ''
  const bytes = Uint8Array.from(address.split('.').map(Number))
  return `${maskBytes(bytes, v4Length).join('.')}/${v4Length}`
}

function maskBytes(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff)
}

function parseV6(address: string): Uint8Array {
  const [head = '', tail] = address.split('::')
  const words = (text: string) => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const before = words(head)
  const after = tail === undefined ? [] : words(tail)
  const all = tail === undefined ? before : [...before, ...Array(Math.max(0, 8 - before.length - after.length)).fill(0), ...after]
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 255]))
}

/** The shortest form (RFC 5952), which URLs are brought to. */
function formatV6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16))
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1)
}
