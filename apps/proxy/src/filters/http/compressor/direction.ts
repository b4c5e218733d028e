import type {
  Compressor_CommonDirectionConfig as CommonConfig,
  Compressor,
} from '@weft/contracts/envoy/extensions/filters/http/compressor/v3/compressor'
import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { Counter } from '../../../observe/stats.ts'
import { compileFeatureFlag } from '../../../plan/runtime.ts'
import { compileStringMatcher } from '../../../routing/matchers/string-matcher.ts'
import type { FilterContext } from '../filter.ts'

const defaultMinLength = 30
const defaultTypes = [
  ...['text/html', 'text/plain', 'text/css', 'text/xml', 'image/svg+xml', 'application/xml', 'application/xhtml+xml'],
  ...['application/javascript', 'application/x-javascript', 'text/javascript', 'text/x-javascript', 'text/ecmascript'],
  ...['text/js', 'text/jscript', 'text/x-js', 'application/ecmascript', 'application/x-json', 'application/json'],
  ...['application/grpc-web', 'application/grpc-web+proto', 'application/grpc-web+thrift'],
]
const codings = new Set(['gzip', 'deflate', 'compress', 'br', 'zstd'])
export const contentEncoding = headerName('content-encoding')

/** Which messages of one direction are worth compressing. */
export interface DirectionRules {
  enabled(): boolean
  isLongEnough(headers: HeaderTable): boolean
  isOfType(headers: HeaderTable): boolean
  readonly compressed: Counter
  readonly notCompressed: Counter
  readonly bytesIn: Counter
  readonly bytesOut: Counter
  readonly tooShort: Counter
}

/** Compiles one direction; the older fields of the filter itself stand in where the direction has none. */
export function compileDirection(
  common: CommonConfig | undefined,
  older: Pick<Compressor, 'contentLength' | 'contentType' | 'runtimeEnabled'> | null,
  statPrefix: string,
  path: string,
  context: FilterContext,
): DirectionRules {
  // None says as little as one that is 0.
  const minLength = common?.minContentLength || older?.contentLength || defaultMinLength
  const listed = common !== undefined && common.contentType.length > 0 ? common.contentType : (older?.contentType ?? [])
  const matchers = (common?.contentTypeMatcher ?? []).map((one, i) =>
    compileStringMatcher(one, `${path}.content_type_matcher[${i}]`),
  )
  // Matchers stand instead of lists, and of what is usual.
  const types = new Set(matchers.length > 0 ? [] : (listed.length > 0 ? listed : defaultTypes).map((type) => type.toLowerCase()))
  const stat = (name: string) => context.stats.counter(statPrefix + name)
  const tooShort = stat('content_length_too_small')
  return {
    enabled: compileFeatureFlag(common?.enabled ?? older?.runtimeEnabled, context.runtime),
    isLongEnough(headers) {
      const length = headers.get(names.contentLength)
      // A body whose length nobody knows may be of any.
      if (length === null) return true
      const enough = Number(length) >= minLength
      if (!enough) tooShort.inc()
      return enough
    },
    isOfType(headers) {
      const type = headers.get(names.contentType)
      if (type === null) return true
      const plain = type.split(';')[0]!.trim()
      return matchers.length > 0 ? matchers.some((matches) => matches(plain)) : types.has(plain.toLowerCase())
    },
    compressed: stat('compressed'),
    notCompressed: stat('not_compressed'),
    bytesIn: stat('total_uncompressed_bytes'),
    bytesOut: stat('total_compressed_bytes'),
    tooShort,
  }
}

/** Whether the message is not compressed on its way already. */
export function isTransferPlain(headers: HeaderTable): boolean {
  return !tokensOf(headers.getAll(names.transferEncoding)).some((token) => codings.has(token))
}

/** The elements of a list, in lower case. */
export function tokensOf(value: string | null): string[] {
  return value === null ? [] : value.split(',').map((token) => token.trim().toLowerCase())
}
