import {
  type AccessLogFilter,
  type ComparisonFilter,
  ComparisonFilter_Op,
} from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import { AccessLogType } from '@weft/contracts/envoy/data/accesslog/v3/accesslog'
import { ExpressionFilter } from '@weft/contracts/envoy/extensions/access_loggers/filters/cel/v3/cel'
import { headerName, names } from '@weft/http/header-name'
import { compileText } from '../../expressions/expression.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import { compileFraction, denominatorOf, type Runtime } from '../../plan/runtime.ts'
import { compileHeaderMatcher } from '../../routing/matchers/header-matcher.ts'
import { compileMetadataMatcher } from '../../routing/matchers/metadata-matcher.ts'
import { grpcStatusOf } from '../../upstream/grpc-status.ts'
import { type FormatContext, logTypeOf } from '../format/context.ts'
import { requestIdNumber } from '../tracing/sampling.ts'

/** Whether a request is logged. */
export type LogFilter = (context: FormatContext) => boolean

const grpcStatus = headerName('grpc-status')

/** Compiles an access-log filter. */
export function compileLogFilter(filter: AccessLogFilter, path: string, runtime: Runtime): LogFilter {
  const specifier = filter.filterSpecifier
  if (specifier === undefined) throw invalid(path, 'an access log filter needs a kind')
  switch (specifier.$case) {
    case 'statusCodeFilter':
      return compare(specifier.value.comparison, `${path}.status_code_filter`, runtime, ({ info }) => info.responseCode)
    case 'durationFilter':
      return compare(specifier.value.comparison, `${path}.duration_filter`, runtime, ({ info }) => Math.floor(info.elapsedMs()))
    case 'notHealthCheckFilter':
      return ({ info }) => !info.isHealthCheck
    case 'traceableFilter':
      return ({ info }) => info.isTraced && !info.isHealthCheck
    case 'runtimeFilter': {
      const { runtimeKey, percentSampled, useIndependentRandomness } = specifier.value
      const strikes = compileFraction(runtime, { runtimeKey, defaultValue: percentSampled })
      if (useIndependentRandomness) return () => strikes()
      const parts = denominatorOf(percentSampled)
      return ({ request }) => {
        const number = request === null ? null : requestIdNumber(request.headers.get(names.requestId))
        return number === null ? strikes() : strikes((number % parts) / parts)
      }
    }
    case 'andFilter': {
      const parts = specifier.value.filters.map((one, i) => compileLogFilter(one, `${path}.and_filter.filters[${i}]`, runtime))
      return (context) => parts.every((part) => part(context))
    }
    case 'orFilter': {
      const parts = specifier.value.filters.map((one, i) => compileLogFilter(one, `${path}.or_filter.filters[${i}]`, runtime))
      return (context) => parts.some((part) => part(context))
    }
    case 'headerFilter': {
      if (specifier.value.header === undefined) throw invalid(`${path}.header_filter`, 'header is needed')
      const matches = compileHeaderMatcher(specifier.value.header, `${path}.header_filter.header`)
      return ({ request }) => request !== null && matches(request)
    }
    case 'responseFlagFilter': {
      const wanted = specifier.value.flags
      return ({ info }) => (wanted.length === 0 ? info.flags.length > 0 : wanted.some((flag) => info.flags.includes(flag)))
    }
    case 'grpcStatusFilter': {
      const { statuses, exclude } = specifier.value
      return ({ response, responseTrailers, info }) => {
        const text = responseTrailers?.get(grpcStatus) ?? response?.headers.get(grpcStatus) ?? null
        const status = text === null ? grpcStatusOf(info.responseCode) : Number(text)
        return statuses.some((one) => one === status) !== exclude
      }
    }
    case 'metadataFilter': {
      const { matcher, matchIfKeyNotFound } = specifier.value
      const absent = matchIfKeyNotFound ?? true
      if (matcher === undefined) return () => absent
      const matches = compileMetadataMatcher(matcher, `${path}.metadata_filter.matcher`)
      const keys = [matcher.filter, ...matcher.path.map(({ segment }) => segment?.value ?? '')]
      return ({ metadataOrNull }) => (absent && !isThere(metadataOrNull, keys) ? true : matches(metadataOrNull))
    }
    case 'logTypeFilter': {
      const { types, exclude } = specifier.value
      return (context) => types.includes(logTypeNumber(context)) !== exclude
    }
    case 'extensionFilter': {
      const config = specifier.value.configType?.value
      if (config?.typeUrl.endsWith('/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter') !== true)
        throw unsupported(`${path}.extension_filter`, `access log filter '${specifier.value.name}'`)
      const { expression } = ExpressionFilter.decode(config.value)
      const evaluate = compileText(expression, `${path}.extension_filter.typed_config.expression`)
      return (context) => evaluate(context) === true
    }
  }
}

/** The kind of log by its number; that of none where it has no name. */
export function logTypeNumber(context: FormatContext): AccessLogType {
  const types: Readonly<Record<string, AccessLogType>> = AccessLogType
  return types[logTypeOf(context)] ?? AccessLogType.NotSet
}

function isThere(metadata: unknown, keys: readonly string[]): boolean {
  let value = metadata
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false
    value = Reflect.get(value, key)
  }
  return value !== null
}

function compare(
  comparison: ComparisonFilter | undefined,
  path: string,
  runtime: Runtime,
  read: (context: FormatContext) => number,
): LogFilter {
  const value = comparison?.value
  if (comparison === undefined || value === undefined) throw invalid(path, 'comparison is needed')
  const limit = () => (value.runtimeKey === '' ? value.defaultValue : runtime.number(value.runtimeKey, value.defaultValue))
  switch (comparison.op) {
    case ComparisonFilter_Op.GE:
      return (context) => read(context) >= limit()
    case ComparisonFilter_Op.LE:
      return (context) => read(context) <= limit()
    case ComparisonFilter_Op.EQ:
      return (context) => read(context) === limit()
    default:
      return (context) => read(context) !== limit()
  }
}
