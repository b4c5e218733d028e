import {
  Compressor,
  Compressor_CommonDirectionConfig,
  CompressorPerRoute,
} from '@weft/contracts/envoy/extensions/filters/http/compressor/v3/compressor'
import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { ResponseHead } from '@weft/http/message'
import type { Counter } from '../../../observe/stats.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { chooseEncoding, type EncodingChoice } from './accept-encoding.ts'
import { BodyCompressor } from './body-compressor.ts'
import { compileDirection, contentEncoding, type DirectionRules, isTransferPlain, tokensOf } from './direction.ts'
import { type CompressorLibrary, compileLibrary } from './library.ts'

const compressionStatus = headerName('x-envoy-compression-status')
const acceptEncoding = headerName('accept-encoding')
const cacheControl = headerName('cache-control')
const etag = headerName('etag')
const vary = headerName('vary')
/** Requests are not compressed unless that is configured. */
const offByDefault = Compressor_CommonDirectionConfig.fromPartial({ enabled: { defaultValue: false } })
/** Where the compressors of a chain find each other, to agree on one encoding. */
const stateKey = 'weft.compressors'

/** `envoy.filters.http.compressor`: responses (and, where asked, requests) by gzip, brotli or zstd. */
export const compressor: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.compressor.v3.Compressor'],
  routeTypes: ['envoy.extensions.filters.http.compressor.v3.CompressorPerRoute'],
  compile(bytes, context) {
    const source = Compressor.decode(bytes)
    const library = compileLibrary(source.compressorLibrary, context)
    const { responseDirectionConfig: response, requestDirectionConfig: request } = source
    const name = source.compressorLibrary?.name ?? ''
    const statPrefix = `${context.statPrefix}compressor.${name}.${library.statName}.`
    const responsePrefix = response === undefined ? statPrefix : `${statPrefix}response.`
    const stat = (stats: string) => context.stats.counter(statPrefix + stats)
    const rules: Rules = {
      library,
      chooseFirst: source.chooseFirst,
      response: compileDirection(
        response?.commonConfig,
        response === undefined ? source : null,
        responsePrefix,
        `${context.path}.response_direction_config.common_config`,
        context,
      ),
      request: compileDirection(
        request === undefined ? offByDefault : request.commonConfig,
        null,
        `${statPrefix}request.`,
        `${context.path}.request_direction_config.common_config`,
        context,
      ),
      disableOnEtag: response?.disableOnEtagHeader ?? source.disableOnEtagHeader,
      tellsStatus: response?.statusHeaderEnabled ?? false,
      weakensEtag: response?.weakenEtagOnCompress ?? false,
      leavesStatus: new Set(response?.uncompressibleResponseCodes),
      removeAcceptEncoding: response?.removeAcceptEncodingHeader ?? source.removeAcceptEncodingHeader,
      stats: {
        noHeader: stat('no_accept_header'),
        identity: stat('header_identity'),
        used: stat('header_compressor_used'),
        overshadowed: stat('header_compressor_overshadowed'),
        wildcard: stat('header_wildcard'),
        notValid: stat('header_not_valid'),
        etag: stat('not_compressed_etag'),
      },
    }
    return {
      start: (_stream, routeConfig) => new CompressorFilter(rules, isOverride(routeConfig) ? routeConfig : noOverride),
    }
  },
  compileRouteConfig(bytes, _type, context) {
    const { override } = CompressorPerRoute.decode(bytes)
    if (override === undefined) return context.fail('', 'one of disabled and overrides is needed')
    if (override.$case === 'disabled') return { ...noOverride, disables: true } satisfies Override
    const { responseDirectionConfig: response, compressorLibrary } = override.value
    return {
      enables: response !== undefined,
      disables: false,
      removesAcceptEncoding: response?.removeAcceptEncodingHeader,
      library: compressorLibrary === undefined ? null : compileLibrary(compressorLibrary, context),
    } satisfies Override
  },
}

/** What a route wants otherwise. */
interface Override {
  /** Responses are compressed even where the filter has that off. */
  readonly enables: boolean
  /** They are not. */
  readonly disables: boolean
  readonly removesAcceptEncoding: boolean | undefined
  /** null: the filter's own. */
  readonly library: CompressorLibrary | null
}

const noOverride: Override = { enables: false, disables: false, removesAcceptEncoding: undefined, library: null }

function isOverride(config: unknown): config is Override {
  return typeof config === 'object' && config !== null && 'enables' in config
}

interface Rules {
  readonly library: CompressorLibrary
  readonly chooseFirst: boolean
  readonly response: DirectionRules
  readonly request: DirectionRules
  readonly disableOnEtag: boolean
  /** A strong tag becomes a weak one, instead of going. */
  readonly weakensEtag: boolean
  /** Responses tell what became of them, and why. */
  readonly tellsStatus: boolean
  /** Responses of these are never compressed. */
  readonly leavesStatus: ReadonlySet<number>
  readonly removeAcceptEncoding: boolean
  readonly stats: Readonly<Record<'noHeader' | 'identity' | 'used' | 'overshadowed' | 'wildcard' | 'notValid' | 'etag', Counter>>
}

/** The compressors of a request's chain, and what they agreed on. */
class Agreement {
  readonly compressors: { rules: Rules; library: CompressorLibrary }[] = []
  private choice: EncodingChoice | null = null

  choose(accept: string | null, headers: HeaderTable): EncodingChoice {
    if (this.choice === null) {
      const able = this.compressors.filter(({ rules }) => rules.response.isOfType(headers))
      const offered = able.map(({ library, rules }) => ({ encoding: library.encoding, first: rules.chooseFirst }))
      this.choice = chooseEncoding(accept, offered)
    }
    return this.choice
  }
}

class CompressorFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly override: Override
  private readonly library: CompressorLibrary
  private accept: string | null = null
  private agreement: Agreement | null = null
  private requestBody: BodyCompressor | null = null
  private responseBody: BodyCompressor | null = null

  constructor(rules: Rules, override: Override) {
    this.rules = rules
    this.override = override
    this.library = override.library ?? rules.library
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { rules } = this
    const { headers } = stream.request
    this.accept = headers.getAll(acceptEncoding)
    if (this.isEnabled()) {
      if (this.override.removesAcceptEncoding ?? rules.removeAcceptEncoding) headers.remove(acceptEncoding)
      const known = stream.filterState.get(stateKey)
      this.agreement = known instanceof Agreement ? known : new Agreement()
      if (known === undefined) stream.filterState.set(stateKey, this.agreement)
      this.agreement.compressors.push({ rules, library: this.library })
    }
    this.beginRequest(stream, rules.request, endStream)
    return 'continue'
  }

  private isEnabled(): boolean {
    return !this.override.disables && (this.override.enables || this.rules.response.enabled())
  }

  private beginRequest(stream: HttpStream, rules: DirectionRules, endStream: boolean): void {
    const { headers } = stream.request
    const compresses =
      !endStream &&
      rules.enabled() &&
      rules.isLongEnough(headers) &&
      rules.isOfType(headers) &&
      !headers.has(contentEncoding) &&
      isTransferPlain(headers)
    if (!compresses) {
      rules.notCompressed.inc()
      return
    }
    rules.compressed.inc()
    headers.remove(names.contentLength)
    headers.set(contentEncoding, this.library.encoding)
    this.requestBody = new BodyCompressor(
      this.library,
      {
        send: (data, end) => stream.injectRequestData(this, data, end),
        pause: () => stream.pauseRequest(),
        resume: () => stream.resumeRequest(),
      },
      rules.bytesIn,
      rules.bytesOut,
    )
  }

  onRequestData(_stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    if (this.requestBody === null) return 'continue'
    this.requestBody.write(data, endStream)
    return 'taken'
  }

  onRequestTrailers(stream: HttpStream): FilterStatus {
    if (this.requestBody === null) return 'continue'
    this.requestBody.end(() => stream.continueRequest())
    return 'stop'
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { response: rules } = this.rules
    const { headers } = stream.response
    const compressible = this.rules.tellsStatus ? this.tellWhyNot(stream, endStream) : null
    if (!this.isEnabled() || compressible === false || (compressible === null && !rules.isLongEnough(headers))) {
      rules.notCompressed.inc()
      return 'continue'
    }
    const fits =
      compressible ??
      (this.isPlain(stream.response) &&
        !this.rules.leavesStatus.has(stream.response.status) &&
        rules.isOfType(headers) &&
        this.isEtagAllowed(headers))
    if (!endStream && this.agreement !== null && this.isAccepted(this.agreement, headers) && fits && isTransferPlain(headers))
      this.beginResponse(stream)
    else rules.notCompressed.inc()
    // Caches have to know that the answer depends on what the client accepts, compressed or not.
    if (fits) addVary(headers)
    return 'continue'
  }

  /** Whether the response can be compressed at all: it is none that says otherwise, or is compressed already. */
  private isPlain({ status, headers }: ResponseHead): boolean {
    return status !== 101 && !tokensOf(headers.getAll(cacheControl)).includes('no-transform') && !headers.has(contentEncoding)
  }

  /** Whether the response may be compressed; where it may not, the first reason that there is is told in a header. */
  private tellWhyNot({ response }: HttpStream, endStream: boolean): boolean {
    const { response: rules, leavesStatus } = this.rules
    const { headers, status } = response
    if (!this.isEnabled() || !this.isPlain(response)) return false
    const reason = !rules.isLongEnough(headers)
      ? 'ContentLengthTooSmall'
      : !rules.isOfType(headers)
        ? 'ContentTypeNotAllowed'
        : !this.isEtagAllowed(headers)
          ? 'EtagNotAllowed'
          : leavesStatus.has(status)
            ? 'StatusCodeNotAllowed'
            : null
    if (reason === null) return true
    if (!endStream) {
      headers.append(compressionStatus, `${this.library.encoding};${reason}`)
      // Envoy counts it a second time.
      if (reason === 'ContentLengthTooSmall') rules.tooShort.inc()
    }
    return false
  }

  private beginResponse(stream: HttpStream): void {
    const { response: rules } = this.rules
    const { headers } = stream.response
    rules.compressed.inc()
    const tag = headers.get(etag)
    if (tag !== null && !/^w\//i.test(tag)) {
      if (this.rules.weakensEtag) headers.set(etag, `W/${tag}`)
      else headers.remove(etag)
    }
    if (this.rules.tellsStatus)
      headers.append(
        compressionStatus,
        `${this.library.encoding};Compressed;OriginalLength=${headers.get(names.contentLength) ?? ''}`,
      )
    headers.remove(names.contentLength)
    headers.set(contentEncoding, this.library.encoding)
    this.responseBody = new BodyCompressor(
      this.library,
      {
        send: (data, end) => stream.injectResponseData(this, data, end),
        pause: () => stream.pauseResponse(),
        resume: () => stream.resumeResponse(),
      },
      rules.bytesIn,
      rules.bytesOut,
    )
  }

  private isEtagAllowed(headers: HeaderTable): boolean {
    const allowed = !this.rules.disableOnEtag || !headers.has(etag)
    if (!allowed) this.rules.stats.etag.inc()
    return allowed
  }

  private isAccepted(agreement: Agreement, headers: HeaderTable): boolean {
    const { stats } = this.rules
    const { library } = this
    const { encoding, reason } = agreement.choose(this.accept, headers)
    const chosen = encoding === library.encoding
    if (reason === 'no-header') stats.noHeader.inc()
    else if (reason === 'identity') stats.identity.inc()
    else if (reason === 'not-valid') stats.notValid.inc()
    else if (reason === 'wildcard') stats.wildcard.inc()
    else if (chosen) stats.used.inc()
    else stats.overshadowed.inc()
    return chosen
  }

  onResponseData(_stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    if (this.responseBody === null) return 'continue'
    this.responseBody.write(data, endStream)
    return 'taken'
  }

  onResponseTrailers(stream: HttpStream): FilterStatus {
    if (this.responseBody === null) return 'continue'
    this.responseBody.end(() => stream.continueResponse())
    return 'stop'
  }

  onComplete(): void {
    this.requestBody?.close()
    this.responseBody?.close()
  }
}

function addVary(headers: HeaderTable): void {
  const value = headers.getAll(vary, ', ')
  if (value === null || value === '') headers.set(vary, 'Accept-Encoding')
  else if (!tokensOf(value).includes('accept-encoding') && value.trim() !== '*') headers.set(vary, `${value}, Accept-Encoding`)
}
