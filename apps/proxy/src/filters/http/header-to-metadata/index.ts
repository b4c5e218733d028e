import {
  Config,
  type Config_KeyValuePair as KeyValuePair,
  type Config_Rule as Rule,
  Config_ValueEncode as ValueEncode,
  Config_ValueType as ValueType,
} from '@weft/contracts/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata'
import { Value } from '@weft/contracts/google/protobuf/struct'
import { headerName } from '@weft/http/header-name'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { wireText } from '../../../observe/format/wire-text.ts'
import type { Counter } from '../../../observe/stats.ts'
import { cookieValue } from '../../../routing/cookie.ts'
import { headerReader, isPseudo } from '../../../routing/matchers/header-matcher.ts'
import { compileRegex } from '../../../routing/matchers/regex.ts'
import type { FilterContext, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

const defaultNamespace = 'envoy.filters.http.header_to_metadata'
/** Longer values are not taken. */
const maxValueBytes = 8 * 1024

type Head = RequestHead | ResponseHead
/** Reads a head and notes what it finds. */
type Extraction = (stream: HttpStream, head: Head) => void

/** What is counted of one direction, where the filter has a prefix for it. */
interface Counts {
  readonly processed: Counter
  readonly added: Counter
  readonly notFound: Counter
  readonly badBase64: Counter
  readonly tooLong: Counter
  readonly badSubstitution: Counter
}

function compileCounts(prefix: string, direction: 'request' | 'response', { stats }: FilterContext): Counts | null {
  if (prefix === '') return null
  const stat = (name: string) => stats.counter(`http_filter_name.${prefix}.${name}`)
  return {
    processed: stat(`${direction}_rules_processed`),
    added: stat(`${direction}_metadata_added`),
    notFound: stat(`${direction}_header_not_found`),
    badBase64: stat('base64_decode_failed'),
    tooLong: stat('header_value_too_long'),
    badSubstitution: stat('regex_substitution_failed'),
  }
}

interface Rules {
  readonly request: readonly Extraction[]
  readonly response: readonly Extraction[]
}

/** `envoy.filters.http.header_to_metadata`: headers and cookies become dynamic metadata, for routes and other filters. */
export const headerToMetadata: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.header_to_metadata.v3.Config'],
  routeTypes: ['envoy.extensions.filters.http.header_to_metadata.v3.Config'],
  compile(bytes, context) {
    const own = compileRules(bytes, context)
    return { start: (_stream, routeConfig) => filterOf(isRules(routeConfig) ? routeConfig : own) }
  },
  compileRouteConfig(bytes, _type, context) {
    const rules = compileRules(bytes, context)
    if (rules.request.length + rules.response.length === 0)
      return context.fail('', 'Per filter configs must at least specify either request or response rules')
    return rules
  },
}

const filters = new WeakMap<Rules, HttpFilter>()

function filterOf(rules: Rules): HttpFilter {
  let filter = filters.get(rules)
  if (filter === undefined) {
    filter = {
      onRequestHeaders(stream) {
        for (const extract of rules.request) extract(stream, stream.request)
        return 'continue'
      },
      onResponseHeaders(stream) {
        for (const extract of rules.response) extract(stream, stream.response)
        return 'continue'
      },
    }
    filters.set(rules, filter)
  }
  return filter
}

function isRules(config: unknown): config is Rules {
  return typeof config === 'object' && config !== null && 'request' in config && 'response' in config
}

function compileRules(bytes: Uint8Array, context: FilterContext): Rules {
  const source = Config.decode(bytes)
  const ofRequests = compileCounts(source.statPrefix, 'request', context)
  const ofResponses = compileCounts(source.statPrefix, 'response', context)
  return {
    request: source.requestRules.map((rule, i) => compileRule(rule, `request_rules[${i}]`, ofRequests, context)),
    response: source.responseRules.map((rule, i) => compileRule(rule, `response_rules[${i}]`, ofResponses, context)),
  }
}

function compileRule(rule: Rule, path: string, counts: Counts | null, context: FilterContext): Extraction {
  if (rule.header !== '' && rule.cookie !== '')
    return context.fail(path, 'Header to metadata filter: cookie and header cannot be configured in the same rule')
  if (rule.header === '' && rule.cookie === '')
    return context.fail(path, 'Header to metadata filter: rule must set either header or cookie')
  if (rule.cookie !== '' && rule.remove) return context.fail(path, 'Header to metadata filter: cookie cannot be removed')
  const { onHeaderPresent, onHeaderMissing } = rule
  if (onHeaderPresent === undefined && onHeaderMissing === undefined)
    return context.fail(path, 'Header to metadata filter: rule has neither on_header_present nor on_header_missing')
  if (onHeaderPresent !== undefined && onHeaderPresent.value !== '' && onHeaderPresent.regexValueRewrite !== undefined)
    return context.fail(`${path}.on_header_present`, 'Cannot specify both value and regex_value_rewrite')
  if (onHeaderMissing !== undefined && onHeaderMissing.value === '')
    return context.fail(`${path}.on_header_missing`, 'Cannot specify on_header_missing rule with an empty value')
  const { cookie } = rule
  // A cookie without a value counts as missing, as in Envoy.
  const read = cookie === '' ? headerReader(rule.header) : ({ headers }: Head) => cookieValue(headers, cookie) || null
  const present =
    onHeaderPresent === undefined ? null : compileNote(onHeaderPresent, `${path}.on_header_present`, counts, context)
  const missing =
    onHeaderMissing === undefined ? null : compileNote(onHeaderMissing, `${path}.on_header_missing`, counts, context)
  const removed = rule.remove && !isPseudo(rule.header) ? headerName(rule.header) : null
  return (stream, head) => {
    counts?.processed.inc()
    const value = read(head)
    if (value === null) {
      if (missing !== null) counts?.notFound.inc()
      missing?.(stream, '')
    } else if (present !== null) {
      present(stream, value)
      if (removed !== null) head.headers.remove(removed)
    }
  }
}

/** Notes a value in metadata, as the pair says. */
function compileNote(
  pair: KeyValuePair,
  path: string,
  counts: Counts | null,
  context: FilterContext,
): (stream: HttpStream, value: string) => void {
  if (pair.key === '') return context.fail(`${path}.key`, 'a key is needed')
  const rewrite = pair.regexValueRewrite
  const regex =
    rewrite?.pattern === undefined ? null : compileRegex(rewrite.pattern.regex, `${context.path}.${path}.regex_value_rewrite`)
  const namespace = pair.metadataNamespace === '' ? defaultNamespace : pair.metadataNamespace
  const given = wireText(pair.value)
  return (stream, found) => {
    const text = given !== '' ? given : regex === null ? found : regex.replaceAll(found, rewrite?.substitution ?? '')
    if (text === '') {
      if (found !== '') counts?.badSubstitution.inc()
      return
    }
    if (text.length >= maxValueBytes) {
      counts?.tooLong.inc()
      return
    }
    const plain = pair.encode === ValueEncode.BASE64 ? decoded(text) : text
    if (plain === '') counts?.badBase64.inc()
    const value = typed(plain, pair.type)
    if (value === undefined) return
    stream.metadata(namespace)[pair.key] = value
    counts?.added.inc()
  }
}

function decoded(text: string): string {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0 ? Buffer.from(text, 'base64').toString('latin1') : ''
}

/** undefined: it is no such value, and is left out. */
function typed(text: string, type: ValueType): unknown {
  if (text === '') return undefined
  if (type === ValueType.NUMBER) {
    const number = Number(text)
    return Number.isFinite(number) && text.trim() !== '' ? number : undefined
  }
  if (type !== ValueType.PROTOBUF_VALUE) return Buffer.from(text, 'latin1').toString()
  try {
    return Value.unwrap(Value.decode(Buffer.from(text, 'latin1')))
  } catch {
    return undefined
  }
}
