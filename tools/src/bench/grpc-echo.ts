/** A gRPC server that gives back every message as it comes, by our HTTP/2 codec: so cheap that a proxy is what is measured. Usage: grpc-echo.ts PORT */
import { createServer, type Socket } from 'node:net'
import { defaultHttp2Options } from '@weft/http/h2/options'
import { Http2ServerConnection, type Http2ServerStream } from '@weft/http/h2/server-connection'
import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ByteSink, IncomingRequest } from '@weft/http/stream'

const head = new ResponseHead()
head.status = 200
head.headers.append(headerName('content-type'), 'application/grpc')
const trailers = new HeaderTable()
trailers.append(headerName('grpc-status'), '0')

/** Gathers what one read brings about. */
class SocketSink implements ByteSink {
  position = 0
  private readonly socket: Socket
  private buffer = Buffer.allocUnsafeSlow(65_536)

  constructor(socket: Socket) {
    this.socket = socket
  }

  get congested(): boolean {
    return this.socket.writableNeedDrain
  }

  reserve(size: number): Buffer {
    if (this.position + size > this.buffer.length) {
      this.flush()
      if (size > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(size)
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
  }

  flush(): void {
    if (this.position === 0) return
    this.socket.write(Buffer.from(this.buffer.subarray(0, this.position)))
    this.position = 0
  }
}

function take(stream: Http2ServerStream): IncomingRequest {
  return {
    request: new RequestHead(),
    onRequestHead: () => stream.sendHead(head, false),
    onRequestData: (bytes, start, end, last) => {
      if (!stream.sendData(bytes, start, end, false)) stream.pauseRequest()
      if (last) stream.sendTrailers(trailers)
    },
    onRequestTrailers: () => stream.sendTrailers(trailers),
    onRequestReset: () => {},
    onRequestError: () => stream.reset(),
    onResponseWritable: () => stream.resumeRequest(),
  }
}

createServer({ noDelay: true }, (socket) => {
  const sink = new SocketSink(socket)
  const codec = new Http2ServerConnection(sink, defaultHttp2Options, {
    begin: take,
    closeAfterWrite: () => {
      sink.flush()
      socket.end()
    },
    idle: () => {},
    failed: () => {},
    noted: () => {},
  })
  socket.on('data', (bytes: Buffer) => {
    codec.receive(bytes, 0, bytes.length)
    sink.flush()
  })
  socket.on('drain', () => {
    codec.writable()
    sink.flush()
  })
  socket.on('error', () => {})
  socket.on('close', () => codec.connectionLost('closed'))
}).listen(Number(process.argv[2]), '127.0.0.1')
