/** What the HTTP/2 codec costs a request, without sockets: both ends' encoding and decoding, in one thread. */

import { Http2ClientConnection } from '@weft/http/h2/client-connection'
import { defaultHttp2Options, type Http2Options } from '@weft/http/h2/options'
import { Http2ServerConnection, type Http2ServerStream } from '@weft/http/h2/server-connection'
import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ByteSink, IncomingRequest, IncomingResponse } from '@weft/http/stream'
import type { BenchOptions } from './bench-options.ts'
import { formatTable, median } from './table.ts'

/** Streams that are open at once, as h2load -m 32 has them. */
const concurrency = 32

/** A sink whose bytes the other end reads. */
class Pipe implements ByteSink {
  buffer: Buffer = Buffer.allocUnsafeSlow(1 << 20)
  position = 0
  readonly congested = false

  reserve(size: number): Buffer {
    if (this.position + size > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow((this.position + size) * 2)
      this.buffer.copy(grown, 0, 0, this.position)
      this.buffer = grown
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
  }
}

function requestOf(i: number): RequestHead {
  const request = new RequestHead()
  request.method = 'GET'
  request.path = `/productpage?u=${i % 8}`
  request.authority = 'productpage.default.svc.cluster.local:9080'
  request.headers.append(headerName('user-agent'), 'h2load nghttp2/1.52.0')
  request.headers.append(headerName('accept'), '*/*')
  request.headers.append(headerName('accept-encoding'), 'gzip, deflate')
  request.headers.append(headerName('x-forwarded-proto'), 'http')
  request.headers.append(headerName('x-forwarded-for'), '10.1.2.3')
  request.headers.append(headerName('x-envoy-attempt-count'), '1')
  request.headers.append(headerName('x-request-id'), `8f6ba2f1-6d10-4b2e-9f7e-${String(i).padStart(12, '0')}`)
  return request
}

function responseOf(): ResponseHead {
  const response = new ResponseHead()
  response.status = 200
  response.headers.append(headerName('content-type'), 'text/html; charset=utf-8')
  response.headers.append(headerName('content-length'), '1024')
  response.headers.append(headerName('server'), 'istio-envoy')
  response.headers.append(headerName('date'), 'Mon, 21 Oct 2013 20:13:21 GMT')
  response.headers.append(headerName('x-envoy-upstream-service-time'), '3')
  return response
}

const body = Buffer.alloc(1024, 'x')

class Loop {
  readonly fromClient = new Pipe()
  readonly fromServer = new Pipe()
  readonly client: Http2ClientConnection
  readonly server: Http2ServerConnection
  private readonly answer = responseOf()
  private readonly pool: IncomingRequest[] = []
  answered = 0

  constructor(options: Http2Options) {
    this.client = new Http2ClientConnection(this.fromClient, options, {
      room: () => {},
      goaway: () => {},
      closeAfterWrite: () => {
        throw new Error('the client closed the connection')
      },
      failed: () => {},
      noted: () => {},
    })
    this.server = new Http2ServerConnection(this.fromServer, options, {
      begin: (stream) => this.take(stream),
      closeAfterWrite: () => {
        throw new Error('the server closed the connection')
      },
      idle: () => {},
      failed: () => {},
      noted: () => {},
    })
    this.client.start()
  }

  /** Heads are used again, as the proxy's exchanges are. */
  private take(stream: Http2ServerStream): IncomingRequest {
    const used = this.pool.pop()
    const request = used?.request ?? new RequestHead()
    const receiver: IncomingRequest = {
      request,
      onRequestHead: () => {
        stream.sendHead(this.answer, false)
        stream.sendData(body, 0, body.length, true)
        this.pool.push(receiver)
      },
      onRequestData: () => {},
      onRequestTrailers: () => {},
      onRequestReset: () => {},
      onRequestError: () => {},
      onResponseWritable: () => {},
    }
    return receiver
  }

  exchange(): void {
    const { fromClient, fromServer } = this
    while (fromClient.position > 0 || fromServer.position > 0) {
      const sent = fromClient.position
      fromClient.position = 0
      if (sent > 0) this.server.receive(fromClient.buffer, 0, sent)
      const got = fromServer.position
      fromServer.position = 0
      if (got > 0) this.client.receive(fromServer.buffer, 0, got)
    }
  }
}

/** Nanoseconds of CPU a request: all of it, and the server's part (its `receive`, which decodes, answers and encodes). */
function measure(options: Http2Options, seconds: number): { total: number; server: number } {
  const loop = new Loop(options)
  const requests = Array.from({ length: 64 }, (_, i) => requestOf(i))
  const response = new ResponseHead()
  let answered = 0
  const receiver: IncomingResponse = {
    response,
    onInterim: () => {},
    onResponseHead: () => {},
    onResponseData: (_buffer, _start, _end, endStream) => {
      if (endStream) answered++
    },
    onResponseTrailers: () => {},
    onResponseReset: (_reason, detail) => {
      throw new Error(detail)
    },
    onRequestWritable: () => {},
  }
  let next = 0
  let serverNs = 0n
  const turn = (): void => {
    for (let i = 0; i < concurrency; i++) loop.client.begin(receiver).sendHead(requests[next++ & 63]!, true)
    const { fromClient, fromServer } = loop
    const sent = fromClient.position
    fromClient.position = 0
    const before = process.hrtime.bigint()
    loop.server.receive(fromClient.buffer, 0, sent)
    serverNs += process.hrtime.bigint() - before
    const got = fromServer.position
    fromServer.position = 0
    loop.client.receive(fromServer.buffer, 0, got)
    loop.exchange()
  }
  for (let i = 0; i < 2000; i++) turn()
  answered = 0
  serverNs = 0n
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  const end = start + BigInt(Math.round(seconds * 1e9))
  let now = start
  while (now < end) {
    for (let i = 0; i < 100; i++) turn()
    now = process.hrtime.bigint()
  }
  // On a busy machine the clock goes on while others run: CPU time is what counts, the clock only says whose share it is.
  const { user, system } = process.cpuUsage(cpu)
  const total = ((user + system) * 1000) / answered
  return { total, server: (total * Number(serverNs)) / Number(now - start) }
}

/** Prints the codec's cost of a request, with and without Huffman coding. */
export async function benchH2Codec({ rounds, seconds }: BenchOptions): Promise<void> {
  const rows: string[][] = []
  const result: Record<string, number> = {}
  for (const huffman of [true, false]) {
    const measured = Array.from({ length: rounds }, () => measure({ ...defaultHttp2Options, huffman }, seconds / 2))
    const total = median(measured.map((one) => one.total))
    const server = median(measured.map((one) => one.server))
    const name = huffman ? 'Huffman' : 'no Huffman'
    rows.push([name, server.toFixed(0), (total - server).toFixed(0), total.toFixed(0)])
    result[huffman ? 'huffmanNs' : 'plainNs'] = Math.round(total)
  }
  console.log(formatTable(['h2 codec, ns a request', 'server', 'client', 'both'], rows))
  console.log(JSON.stringify({ bench: 'h2-codec', ...result }))
}
