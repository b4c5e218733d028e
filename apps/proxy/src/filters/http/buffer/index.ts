import { Buffer as BufferConfig, BufferPerRoute } from '@weft/contracts/envoy/extensions/filters/http/buffer/v3/buffer'
import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

/** `envoy.filters.http.buffer`: a request goes on when its whole body is there, up to a limit. */
export const buffer: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.buffer.v3.Buffer'],
  routeTypes: ['envoy.extensions.filters.http.buffer.v3.BufferPerRoute'],
  compile(bytes) {
    const own = BufferConfig.decode(bytes).maxRequestBytes ?? 0
    return { start: (_stream, routeConfig) => new BufferFilter(typeof routeConfig === 'number' ? routeConfig : own) }
  },
  compileRouteConfig(bytes, _type, context) {
    const { override } = BufferPerRoute.decode(bytes)
    if (override === undefined) return context.fail('', 'one of disabled and buffer is needed')
    return override.$case === 'disabled' ? 'off' : (override.value.maxRequestBytes ?? 0)
  },
}

class BufferFilter implements HttpFilter {
  private readonly maxBytes: number
  private bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    if (endStream) return 'continue'
    stream.requestBufferLimit = this.maxBytes
    return 'buffer'
  }

  onRequestData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const isOnly = this.bytes === 0
    this.bytes += data.length
    if (!endStream) return 'buffer'
    // What is too long is answered where bytes are kept. HTTP/2's only frame is never kept, in Envoy.
    if (this.bytes > this.maxBytes && (stream.request.version !== 20 || !isOnly)) return 'buffer'
    this.nameLength(stream)
    return 'continue'
  }

  onRequestTrailers(stream: HttpStream, _trailers: HeaderTable): FilterStatus {
    this.nameLength(stream)
    return 'continue'
  }

  /** The length is known now: a request that came in chunks is sent with it. */
  private nameLength({ request: { headers } }: HttpStream): void {
    if (headers.has(names.contentLength)) return
    headers.remove(names.transferEncoding)
    headers.append(names.contentLength, String(this.bytes))
  }
}
