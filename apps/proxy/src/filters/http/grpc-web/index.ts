import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { WeftError } from '@weft/service/errors'
import { grpcMessageText, grpcStatusOf } from '../../../upstream/grpc-status.ts'
import { ClusterCounters } from '../cluster-counters.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { methodOf } from '../grpc-stats/method.ts'
import { isGrpcType } from '../grpc-type.ts'
import { Base64Pieces } from './base64-frames.ts'

const accept = headerName('accept')
const acceptEncoding = headerName('grpc-accept-encoding')
const binaryTypes = ['application/grpc-web', 'application/grpc-web+proto']
const textTypes = ['application/grpc-web-text', 'application/grpc-web-text+proto']
/** Flag of the frame that holds trailers. */
const trailersFlag = 0x80
/** Bytes of an answer that is no gRPC that are told in its message. */
const maxMessage = 16 * 1024

/** `envoy.filters.http.grpc_web`: browsers' gRPC-Web (binary and text) in, gRPC out. */
export const grpcWeb: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.grpc_web.v3.GrpcWeb'],
  compile(_bytes, context) {
    const counters = new ClusterCounters(context.stats)
    return {
      start(stream) {
        const type = stream.request.headers.get(names.contentType) ?? ''
        const isText = textTypes.includes(type)
        // What the proxy answers by itself is no gRPC: it is asked before the request becomes that.
        if (stream.isGrpc) return null
        return isText || binaryTypes.includes(type) ? new GrpcWebFilter(counters, isText) : null
      },
    }
  },
}

class GrpcWebFilter implements HttpFilter {
  private readonly counters: ClusterCounters
  /** null: the request is binary. */
  private readonly decoder: Base64Pieces | null
  private answersText = false
  /** The answer's own body, where it is no gRPC. */
  private foreign: Buffer[] | null = null
  private foreignBytes = 0
  private path = ''
  /** The request came this far. */
  private hasSeen = false

  constructor(counters: ClusterCounters, isText: boolean) {
    this.counters = counters
    this.decoder = isText ? new Base64Pieces() : null
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { headers, path } = stream.request
    this.hasSeen = true
    this.path = path
    this.answersText = textTypes.includes(headers.get(accept) ?? '')
    headers.remove(names.contentLength)
    headers.set(names.contentType, 'application/grpc')
    headers.set(names.te, 'trailers')
    headers.set(acceptEncoding, 'identity')
    return 'continue'
  }

  onRequestData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    if (this.decoder === null) return 'continue'
    let bytes: Buffer
    try {
      bytes = this.decoder.add(data, endStream)
    } catch (error) {
      const cut = WeftError.from(error).code === 'failed_precondition'
      stream.reply(400, 'Bad gRPC-web request, invalid base64 data.', {
        details: cut ? 'grpc_base_64_decode_failed_bad_size' : 'grpc_base_64_decode_failed',
        unfinished: true,
      })
      return 'taken'
    }
    if (bytes.length > 0 || endStream) stream.injectRequestData(this, bytes, endStream)
    return 'taken'
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    if (!this.hasSeen) return 'continue'
    const { headers, status } = stream.response
    const isGrpc = status === 200 && (isGrpcType(headers) || binaryTypes.includes(headers.get(names.contentType) ?? ''))
    if (isGrpc || endStream) {
      this.count(stream, headers)
      this.nameType(headers)
      return 'continue'
    }
    this.foreign = []
    return 'buffer'
  }

  /** An answer that is no gRPC: its body is told as the message of a status that its own maps to. */
  private translate(stream: HttpStream, foreign: readonly Buffer[]): void {
    this.foreign = null
    const { headers, status } = stream.response
    this.nameType(headers)
    headers.set(names.grpcStatus, String(grpcStatusOf(status)))
    headers.set(names.grpcMessage, grpcMessageText(Buffer.concat(foreign).subarray(0, maxMessage)))
    headers.set(names.contentLength, '0')
    stream.continueResponse()
    stream.injectResponseData(this, Buffer.alloc(0), true)
  }

  private nameType(headers: HeaderTable): void {
    headers.remove(names.contentLength)
    headers.set(names.contentType, this.answersText ? 'application/grpc-web-text+proto' : 'application/grpc-web+proto')
  }

  onResponseData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const { foreign } = this
    if (foreign !== null) {
      if (this.foreignBytes < maxMessage) foreign.push(Buffer.from(data))
      this.foreignBytes += data.length
      if (endStream) this.translate(stream, foreign)
      return 'taken'
    }
    if (!this.answersText) return 'continue'
    stream.injectResponseData(this, Buffer.from(data.toString('base64')), endStream)
    return 'taken'
  }

  onResponseTrailers(stream: HttpStream, trailers: HeaderTable): FilterStatus {
    if (this.foreign !== null) {
      this.translate(stream, this.foreign)
      return 'stop'
    }
    this.count(stream, trailers)
    let text = ''
    trailers.forEach((name, value) => {
      text += `${name}:${value}\r\n`
    })
    const frame = Buffer.alloc(5 + text.length)
    frame[0] = trailersFlag
    frame.writeUInt32BE(text.length, 1)
    frame.write(text, 5, 'latin1')
    stream.injectResponseData(this, this.answersText ? Buffer.from(frame.toString('base64')) : frame, true)
    return 'stop'
  }

  private count(stream: HttpStream, headers: HeaderTable): void {
    const status = headers.get(names.grpcStatus)
    const method = methodOf(this.path)
    if (status === null || method === null || !/^\d{1,9}$/.test(status)) return
    const prefix = `grpc-web.${method.service}.${method.name}.`
    this.counters.inc(stream.clusterName, prefix + Number(status))
    this.counters.inc(stream.clusterName, `${prefix}${Number(status) === 0 ? 'success' : 'failure'}`)
    this.counters.inc(stream.clusterName, `${prefix}total`)
  }
}
