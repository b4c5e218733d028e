import { Compressor, CompressorPerRoute } from '@weft/contracts/envoy/extensions/filters/http/compressor/v3/compressor'
import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { Counter } from '../../../observe/stats.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { chooseEncoding, type EncodingChoice } from './accept-encoding.ts'
import { BodyCompressor } from './body-compressor.ts'
import { compileDirection, contentEncoding, type DirectionRules, isTransferPlain, tokensOf } from './direction.ts'
import { type CompressorLibrary, compileLibrary } from './library.ts'

const acceptEncoding = headerName('accept-encoding')
const cacheControl = headerName('cache-control')
const etag = headerName('etag')
const vary = headerName('vary')
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
      response: compileDirection(response?.commonConfig, response === undefined ? source : null, responsePrefix, context),
      request: request === undefined ? null : compileDirection(request.commonConfig, null, `${statPrefix}request.`, context),
      disableOnEtag: response?.disableOnEtagHeader ?? source.disableOnEtagHeader,
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
    if (override.$case === 'disabled') return 'off'
    const response = override.value.responseDirectionConfig
    return { enables: response !== undefined, removesAcceptEncoding: response?.removeAcceptEncodingHeader } satisfies Override
  },
}

/** What a route wants otherwise. */
interface Override {
  /** Responses are compressed even where the filter has that off. */
  readonly enables: boolean
  readonly removesAcceptEncoding: boolean | undefined
}

const noOverride: Override = { enables: false, removesAcceptEncoding: undefined }

function isOverride(config: unknown): config is Override {
  return typeof config === 'object' && config !== null && 'enables' in config
}

interface Rules {
  readonly library: CompressorLibrary
  readonly chooseFirst: boolean
  readonly response: DirectionRules
  readonly request: DirectionRules | null
  readonly disableOnEtag: boolean
  /** A strong tag becomes a weak one, instead of going. */
  readonly weakensEtag: boolean
  /** Responses of these are never compressed. */
  readonly leavesStatus: ReadonlySet<number>
  readonly removeAcceptEncoding: boolean
  readonly stats: Readonly<Record<'noHeader' | 'identity' | 'used' | 'overshadowed' | 'wildcard' | 'notValid' | 'etag', Counter>>
}

/** The compressors of a request's chain, and what they agreed on. */
class Agreement {
  readonly compressors: Rules[] = []
  private choice: EncodingChoice | null = null

  choose(accept: string | null, headers: HeaderTable): EncodingChoice {
    if (this.choice === null) {
      const able = this.compressors.filter(({ response }) => response.isOfType(headers))
      const offered = able.map(({ library, chooseFirst }) => ({ encoding: library.encoding, first: chooseFirst }))
      this.choice = chooseEncoding(accept, offered)
    }
    return this.choice
  }
}

class CompressorFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly override: Override
  private accept: string | null = null
  private agreement: Agreement | null = null
  private requestBody: BodyCompressor | null = null
  private responseBody: BodyCompressor | null = null

  constructor(rules: Rules, override: Override) {
    this.rules = rules
    this.override = override
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { rules } = this
    const { headers } = stream.request
    this.accept = headers.getAll(acceptEncoding)
    if (this.override.enables || rules.response.enabled()) {
      if (this.override.removesAcceptEncoding ?? rules.removeAcceptEncoding) headers.remove(acceptEncoding)
      const known = stream.filterState.get(stateKey)
      this.agreement = known instanceof Agreement ? known : new Agreement()
      if (known === undefined) stream.filterState.set(stateKey, this.agreement)
      this.agreement.compressors.push(rules)
    }
    const { request } = rules
    if (request !== null && !endStream) this.beginRequest(stream, request)
    return 'continue'
  }

  private beginRequest(stream: HttpStream, rules: DirectionRules): void {
    const { headers } = stream.request
    const compresses =
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
    headers.set(contentEncoding, this.rules.library.encoding)
    this.requestBody = new BodyCompressor(
      this.rules.library.create(),
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
    this.requestBody.write(data)
    if (endStream) this.requestBody.end()
    return 'taken'
  }

  onRequestTrailers(stream: HttpStream): FilterStatus {
    if (this.requestBody === null) return 'continue'
    this.requestBody.end(() => stream.continueRequest())
    return 'stop'
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { response: rules, library } = this.rules
    const { headers, status } = stream.response
    if (this.agreement === null || !rules.isLongEnough(headers)) {
      rules.notCompressed.inc()
      return 'continue'
    }
    const compressible =
      status !== 101 &&
      !this.rules.leavesStatus.has(status) &&
      rules.isOfType(headers) &&
      !tokensOf(headers.getAll(cacheControl)).includes('no-transform') &&
      this.isEtagAllowed(headers) &&
      !headers.has(contentEncoding)
    if (!endStream && this.isAccepted(this.agreement, headers) && compressible && isTransferPlain(headers)) {
      rules.compressed.inc()
      const tag = headers.get(etag)
      if (tag !== null && !/^w\//i.test(tag)) {
        if (this.rules.weakensEtag) headers.set(etag, `W/${tag}`)
        else headers.remove(etag)
      }
      headers.remove(names.contentLength)
      headers.set(contentEncoding, library.encoding)
      this.responseBody = new BodyCompressor(
        library.create(),
        {
          send: (data, end) => stream.injectResponseData(this, data, end),
          pause: () => stream.pauseResponse(),
          resume: () => stream.resumeResponse(),
        },
        rules.bytesIn,
        rules.bytesOut,
      )
    } else rules.notCompressed.inc()
    // Caches have to know that the answer depends on what the client accepts, compressed or not.
    if (compressible) addVary(headers)
    return 'continue'
  }

  private isEtagAllowed(headers: HeaderTable): boolean {
    const allowed = !this.rules.disableOnEtag || !headers.has(etag)
    if (!allowed) this.rules.stats.etag.inc()
    return allowed
  }

  private isAccepted(agreement: Agreement, headers: HeaderTable): boolean {
    const { library, stats } = this.rules
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
    this.responseBody.write(data)
    if (endStream) this.responseBody.end()
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
