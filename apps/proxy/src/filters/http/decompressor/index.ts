import {
  type Decompressor_CommonDirectionConfig as CommonConfig,
  Decompressor,
} from '@weft/contracts/envoy/extensions/filters/http/decompressor/v3/decompressor'
import { type HeaderName, headerName, names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { compileFeatureFlag } from '../../../plan/runtime.ts'
import { contentEncoding, tokensOf } from '../compressor/direction.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { BodyDecompressor, type DecompressionStats } from './body-decompressor.ts'
import { compileLibrary, type DecompressorLibrary } from './library.ts'

const acceptEncoding = headerName('accept-encoding')
const cacheControl = headerName('cache-control')

/** `envoy.filters.http.decompressor`: requests and responses that come by gzip, brotli or zstd go on as they were before. */
export const decompressor: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.decompressor.v3.Decompressor'],
  compile(bytes, context) {
    const source = Decompressor.decode(bytes)
    const library = compileLibrary(source.decompressorLibrary, context)
    const name = source.decompressorLibrary?.name ?? ''
    const statPrefix = `${context.statPrefix}decompressor.${name}.${library.statName}.`
    const failures = new Map(
      library.failures.map((one) => [one, context.stats.counter(`${statPrefix}decompressor_library.${one}`)]),
    )
    const direction = (config: CommonConfig | undefined, label: string): Direction => {
      const stat = (which: string) => context.stats.counter(`${statPrefix}${label}.${which}`)
      return {
        enabled: compileFeatureFlag(config?.enabled, context.runtime),
        ignoresNoTransform: config?.ignoreNoTransformHeader ?? false,
        stats: {
          decompressed: stat('decompressed'),
          notDecompressed: stat('not_decompressed'),
          bytesIn: stat('total_compressed_bytes'),
          bytesOut: stat('total_uncompressed_bytes'),
          failures,
        },
      }
    }
    const rules: Rules = {
      library,
      advertises: source.requestDirectionConfig?.advertiseAcceptEncoding ?? true,
      request: direction(source.requestDirectionConfig?.commonConfig, 'request'),
      response: direction(source.responseDirectionConfig?.commonConfig, 'response'),
      compressedBytes: trailerName(name, 'compressed', context),
      bytes: trailerName(name, 'uncompressed', context),
    }
    return { start: () => new DecompressorFilter(rules) }
  },
}

function trailerName(library: string, kind: string, context: FilterContext): HeaderName {
  const name = `x-envoy-decompressor-${library}-${kind}-bytes`.toLowerCase()
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))
    return context.fail('decompressor_library.name', `'${library}' cannot be part of a trailer's name`)
  return headerName(name)
}

/** Which messages of one direction are decompressed. */
interface Direction {
  readonly enabled: () => boolean
  readonly ignoresNoTransform: boolean
  readonly stats: DecompressionStats
}

interface Rules {
  readonly library: DecompressorLibrary
  /** Endpoints are told that the encoding is understood. */
  readonly advertises: boolean
  readonly request: Direction
  readonly response: Direction
  /** Trailers that tell how long a body was, and has become. */
  readonly compressedBytes: HeaderName
  readonly bytes: HeaderName
}

class DecompressorFilter implements HttpFilter {
  private readonly rules: Rules
  private requestBody: BodyDecompressor | null = null
  private responseBody: BodyDecompressor | null = null

  constructor(rules: Rules) {
    this.rules = rules
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { advertises, request, response, library } = this.rules
    const { headers } = stream.request
    if (advertises && response.enabled()) {
      const accepted = headers.getAll(acceptEncoding, ',')
      headers.set(acceptEncoding, withEncoding(accepted, library.encoding))
    }
    if (!endStream && this.decompresses(headers, request))
      this.requestBody = new BodyDecompressor(library, request.stats, {
        send: (data) => stream.injectRequestData(this, data, false),
        pause: () => stream.pauseRequest(),
        resume: () => stream.resumeRequest(),
      })
    return 'continue'
  }

  onRequestData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const { requestBody: body } = this
    if (body === null) return 'continue'
    body.write(data)
    if (endStream) body.end(() => stream.injectRequestTrailers(this, this.tell(new HeaderTable(), body)))
    return 'taken'
  }

  onRequestTrailers(stream: HttpStream, trailers: HeaderTable): FilterStatus {
    const { requestBody: body } = this
    if (body === null) return 'continue'
    body.end(() => {
      this.tell(trailers, body)
      stream.continueRequest()
    })
    return 'stop'
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { response, library } = this.rules
    if (!endStream && this.decompresses(stream.response.headers, response))
      this.responseBody = new BodyDecompressor(library, response.stats, {
        send: (data) => stream.injectResponseData(this, data, false),
        pause: () => stream.pauseResponse(),
        resume: () => stream.resumeResponse(),
      })
    return 'continue'
  }

  onResponseData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const { responseBody: body } = this
    if (body === null) return 'continue'
    body.write(data)
    if (endStream) body.end(() => stream.injectResponseTrailers(this, this.tell(new HeaderTable(), body)))
    return 'taken'
  }

  onResponseTrailers(stream: HttpStream, trailers: HeaderTable): FilterStatus {
    const { responseBody: body } = this
    if (body === null) return 'continue'
    body.end(() => {
      this.tell(trailers, body)
      stream.continueResponse()
    })
    return 'stop'
  }

  onComplete(): void {
    this.requestBody?.close()
    this.responseBody?.close()
  }

  /** Whether a message is to be decompressed; its head says what becomes of it, then. */
  private decompresses(headers: HeaderTable, { enabled, ignoresNoTransform, stats }: Direction): boolean {
    const codings = headers.getAll(contentEncoding, ',')
    const [first = '', ...others] = codings?.split(',') ?? []
    const does =
      enabled() &&
      first.trim().toLowerCase() === this.rules.library.encoding &&
      (ignoresNoTransform || !tokensOf(headers.getAll(cacheControl)).includes('no-transform'))
    if (!does) {
      stats.notDecompressed.inc()
      return false
    }
    stats.decompressed.inc()
    headers.remove(names.contentLength)
    headers.remove(contentEncoding)
    if (others.length > 0) headers.set(contentEncoding, others.join(',').trim())
    return true
  }

  private tell(trailers: HeaderTable, body: BodyDecompressor): HeaderTable {
    trailers.append(this.rules.compressedBytes, `${body.compressedBytes}`)
    trailers.append(this.rules.bytes, `${body.bytes}`)
    return trailers
  }
}

/** An Accept-Encoding that has the encoding too; one that had it already (whatever its quality) says so no longer. */
function withEncoding(accepted: string | null, encoding: string): string {
  const known = (accepted ?? '').split(',').map((one) => one.trim())
  const others = known.filter((one) => one !== '' && one.split(';')[0]!.trim() !== encoding)
  return [...others, encoding].join(',')
}
