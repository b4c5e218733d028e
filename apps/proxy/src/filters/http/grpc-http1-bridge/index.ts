import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

/** `envoy.filters.http.grpc_http1_bridge`: gRPC for clients of HTTP/1.1, which read no trailers. */
export const grpcHttp1Bridge: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.grpc_http1_bridge.v3.Config'],
  compile: () => ({ start: (stream) => (stream.isGrpc && stream.request.version !== 20 ? new BridgeFilter() : null) }),
}

class BridgeFilter implements HttpFilter {
  private bytes = 0

  onResponseHeaders(_stream: HttpStream, endStream: boolean): FilterStatus {
    return endStream ? 'continue' : 'buffer'
  }

  onResponseData(_stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    this.bytes += data.length
    return endStream ? 'continue' : 'buffer'
  }

  /** What they say goes into the head: a status that is no success is one of HTTP too. */
  onResponseTrailers(stream: HttpStream, trailers: HeaderTable): FilterStatus {
    const { response } = stream
    const status = trailers.get(names.grpcStatus)
    if (status !== null) {
      if (!/^0+$/.test(status)) response.status = 503
      response.headers.set(names.grpcStatus, status)
    }
    const message = trailers.get(names.grpcMessage)
    if (message !== null) response.headers.set(names.grpcMessage, message)
    response.headers.remove(names.transferEncoding)
    response.headers.set(names.contentLength, String(this.bytes))
    return 'continue'
  }
}
