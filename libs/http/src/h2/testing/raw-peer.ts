import { MemorySink } from '../../byte-sink.ts'
import { headerName } from '../../header-table.ts'
import { RequestHead, ResponseHead } from '../../message.ts'
import type { IncomingRequest } from '../../stream.ts'
import { errorCodeName } from '../error-code.ts'
import { clientPreface, flag, frameType, readUint32, writeFrameHeader, writeUint32 } from '../frame.ts'
import { HpackDecoder } from '../hpack/decoder.ts'
import { defaultHttp2Options, type Http2Options } from '../options.ts'
import { Http2ServerConnection, type Http2ServerStream } from '../server-connection.ts'
import { FieldRecorder } from './field-recorder.ts'

/** A frame, as bytes. */
export function frame(type: number, flags: number, streamId: number, content: string | Uint8Array = ''): Buffer {
  const payload = Buffer.from(content)
  const bytes = Buffer.alloc(9 + payload.length)
  bytes.set(payload, writeFrameHeader(bytes, 0, payload.length, type, flags, streamId))
  return bytes
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  writeUint32(bytes, 0, value)
  return bytes
}

/** A SETTINGS payload. */
export function settings(...values: [id: number, value: number][]): Buffer {
  return Buffer.concat(values.map(([id, value]) => Buffer.concat([Buffer.from([id >>> 8, id]), uint32(value)])))
}

/** Fields as a block of literals that leaves no trace in the table. */
export function literals(...fields: [name: string, value: string][]): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name, 'latin1'),
        Buffer.from([value.length]),
        Buffer.from(value, 'latin1'),
      ]),
    ),
  )
}

export const get: [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'example.com'],
]
export const post: [string, string][] = [[':method', 'POST'], ...get.slice(1)]

export function headers(streamId: number, fields: [string, string][], flags: number = flag.endStream | flag.endHeaders): Buffer {
  return frame(frameType.headers, flags, streamId, literals(...fields))
}

export function data(streamId: number, bytes: string | Buffer, flags = 0): Buffer {
  return frame(frameType.data, flags, streamId, bytes)
}

/** What a server wrote, a line a frame. */
export class FrameLog {
  private readonly decoder = new HpackDecoder(65536)
  private readonly recorder = new FieldRecorder()
  private rest: Buffer = Buffer.alloc(0)

  read(bytes: Buffer): string[] {
    this.rest = Buffer.concat([this.rest, bytes])
    const lines: string[] = []
    while (this.rest.length >= 9) {
      const length = this.rest.readUIntBE(0, 3)
      if (this.rest.length < 9 + length) break
      lines.push(this.describe(this.rest[3]!, this.rest[4]!, readUint32(this.rest, 5), this.rest.subarray(9, 9 + length)))
      this.rest = this.rest.subarray(9 + length)
    }
    return lines
  }

  private describe(type: number, flags: number, id: number, payload: Buffer): string {
    const end = (flags & flag.endStream) !== 0 ? ' end' : ''
    switch (type) {
      case frameType.data:
        return `DATA ${id} ${payload.length > 40 ? `${payload.length} bytes` : payload.toString('latin1')}${end}`
      case frameType.headers:
        this.decoder.decode(payload, 0, payload.length, this.recorder)
        return `HEADERS ${id} ${this.recorder.take().join('; ')}${end}`
      case frameType.rstStream:
        return `RST_STREAM ${id} ${errorCodeName(readUint32(payload, 0))}`
      case frameType.goaway:
        return `GOAWAY ${readUint32(payload, 0)} ${errorCodeName(readUint32(payload, 4))}`
      case frameType.settings:
        return (flags & flag.ack) !== 0 ? 'SETTINGS ack' : 'SETTINGS'
      case frameType.ping:
        return `PING${(flags & flag.ack) !== 0 ? ' ack' : ''} ${payload.toString('latin1')}`
      case frameType.windowUpdate:
        return `WINDOW_UPDATE ${id} ${readUint32(payload, 0)}`
      default:
        return `type ${type} of ${id}`
    }
  }
}

/** A server's connection with a peer that may say anything, and whose requests are noted. */
export class ServerUnderTest {
  readonly sink = new MemorySink()
  readonly connection: Http2ServerConnection
  readonly events: string[] = []
  readonly streams = new Map<number, Http2ServerStream>()
  closed = false
  nowMs = 1000
  /** Called when a request is whole. */
  onComplete: (stream: Http2ServerStream) => void = () => {}
  private readonly log = new FrameLog()

  /** `inTurns`: the requests of a peer that is not steady may have to wait. */
  constructor(options: Partial<Http2Options> = {}, inTurns = false) {
    this.connection = new Http2ServerConnection(
      this.sink,
      { ...defaultHttp2Options, ...options },
      {
        begin: (stream) => this.take(stream),
        ...(inTurns ? { waiting: () => this.events.push('waiting') } : {}),
        closeAfterWrite: () => {
          this.closed = true
        },
        idle: () => {
          this.events.push('idle')
        },
        failed: () => {},
        noted: () => {},
      },
      () => this.nowMs,
    )
  }

  private take(stream: Http2ServerStream): IncomingRequest {
    const { events } = this
    const { id } = stream
    this.streams.set(id, stream)
    const request = new RequestHead()
    return {
      request,
      onRequestHead: (end) => {
        const fields: string[] = []
        request.headers.forEach((name, value) => {
          fields.push(`${name}=${value}`)
        })
        events.push(`${id} head ${request.method} ${request.authority}${request.path} ${fields.join('&')}${end ? ' end' : ''}`)
        if (end) this.onComplete(stream)
      },
      onRequestData: (buffer, start, end, last) => {
        events.push(`${id} data ${buffer.latin1Slice(start, end)}${last ? ' end' : ''}`)
        if (last) this.onComplete(stream)
      },
      onRequestTrailers: (trailers) => {
        const fields: string[] = []
        trailers.forEach((name, value) => {
          fields.push(`${name}=${value}`)
        })
        events.push(`${id} trailers ${fields.join('&')}`)
        this.onComplete(stream)
      },
      onRequestReset: (reason, detail) => {
        events.push(`${id} reset ${reason}: ${detail}`)
      },
      onRequestError: ({ status, details }) => {
        events.push(`${id} error ${status} ${details}`)
        respond(stream, status, '')
      },
      onResponseWritable: () => {
        events.push(`${id} writable`)
      },
    }
  }

  /** Preface and SETTINGS, with what the peer says of itself. */
  greet(...values: [id: number, value: number][]): this {
    this.send(Buffer.concat([clientPreface, frame(frameType.settings, 0, 0, settings(...values))]))
    this.frames()
    return this
  }

  /** Bytes that come at once, and time for all that they bring about. */
  send(...frames: Buffer[]): this {
    const bytes = Buffer.concat(frames)
    this.connection.receive(bytes, 0, bytes.length)
    this.connection.goOn({ isOver: () => false })
    return this
  }

  /** What the server wrote since the last call. */
  frames(): string[] {
    return this.log.read(Buffer.from(this.sink.take(), 'latin1'))
  }
}

/** Sends a response with a body. */
export function respond(stream: Http2ServerStream, status: number, body: string, fields: [string, string][] = []): boolean {
  const response = new ResponseHead()
  response.status = status
  for (const [name, value] of fields) response.headers.append(headerName(name), value)
  stream.sendHead(response, body === '')
  return body === '' || stream.sendData(Buffer.from(body), 0, body.length, true)
}
