import net from 'node:net'
import { type HeaderTable, headerName } from '../../header-table.ts'
import { RequestHead, ResponseHead } from '../../message.ts'
import type { IncomingRequest } from '../../stream.ts'
import { defaultHttp2Options, type Http2Options } from '../options.ts'
import { Http2ServerConnection, type Http2ServerStream } from '../server-connection.ts'
import { SocketSink } from './socket-sink.ts'

/** A request that has come whole. */
interface Received {
  request: RequestHead
  body: Buffer
  trailers: HeaderTable | null
}

/** Answers a whole request. */
export type Answer = (stream: Http2ServerStream, received: Received) => void

const contentLength = headerName('content-length')
const contentType = headerName('content-type')

/** Answers with what was sent: method, path and body; `/size/N` with N bytes. */
const echo: Answer = (stream, { request, body, trailers }) => {
  const response = new ResponseHead()
  response.status = 200
  const size = /^\/size\/(\d{1,9})$/.exec(request.path)?.[1]
  const bytes =
    size === undefined
      ? Buffer.concat([Buffer.from(`${request.method} ${request.path}\n`), body])
      : Buffer.alloc(Number(size), 'x')
  response.headers.append(contentLength, String(bytes.length))
  response.headers.append(contentType, 'text/plain')
  const head = request.method === 'HEAD'
  stream.sendHead(response, head)
  if (head) return
  stream.sendData(bytes, 0, bytes.length, trailers === null)
  if (trailers !== null) stream.sendTrailers(trailers)
}

/** A server over the codec: for tests with real clients. */
export class TestServer {
  readonly connections = new Set<Http2ServerConnection>()
  readonly resets: string[] = []
  private readonly server: net.Server
  private readonly sockets = new Set<net.Socket>()

  constructor(answer: Answer = echo, options: Partial<Http2Options> = {}) {
    this.server = net.createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket)
      const sink = new SocketSink(socket)
      const connection = new Http2ServerConnection(
        sink,
        { ...defaultHttp2Options, ...options },
        {
          begin: (stream) => this.collect(stream, answer),
          closeAfterWrite: () => {
            sink.flush()
            socket.end()
          },
          idle: () => {},
          failed: () => {},
          noted: () => {},
        },
      )
      this.connections.add(connection)
      socket.on('data', (bytes) => connection.receive(bytes, 0, bytes.length))
      socket.on('drain', () => connection.writable())
      socket.on('end', () => socket.end())
      socket.on('error', () => {})
      socket.on('close', () => {
        connection.connectionLost('closed')
        this.connections.delete(connection)
        this.sockets.delete(socket)
      })
    })
  }

  private collect(stream: Http2ServerStream, answer: Answer): IncomingRequest {
    const request = new RequestHead()
    const pieces: Buffer[] = []
    const done = (trailers: HeaderTable | null) => answer(stream, { request, body: Buffer.concat(pieces), trailers })
    return {
      request,
      onRequestHead: (end) => {
        if (end) done(null)
      },
      onRequestData: (buffer, start, end, last) => {
        pieces.push(Buffer.from(buffer.subarray(start, end)))
        if (last) done(null)
      },
      onRequestTrailers: done,
      onRequestReset: (reason, detail) => {
        this.resets.push(`${reason}: ${detail}`)
      },
      onRequestError: ({ status }) => {
        const response = new ResponseHead()
        response.status = status
        stream.sendHead(response, true)
      },
      onResponseWritable: () => {},
    }
  }

  /** Listens on loopback; gives the port. */
  listen(port = 0): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen(port, '127.0.0.1', () => {
        const address = this.server.address()
        resolve(address !== null && typeof address === 'object' ? address.port : 0)
      })
    })
  }

  close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    return new Promise((resolve) => this.server.close(() => resolve()))
  }
}
