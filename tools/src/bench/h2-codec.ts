/** What the HTTP/2 codec costs a request, without sockets: both ends' encoding and decoding, in one thread. */

import { Http2ClientConnection } from '@weft/http/h2/client-connection'
import { defaultHttp2Options, type Http2Options } from '@weft/http/h2/options'
import { Http2ServerConnection, type Http2ServerStream } from '@weft/http/h2/server-connection'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingRequest, IncomingResponse } from '@weft/http/stream'
import type { BenchOptions } from './bench-options.ts'
import { body, type CodecCost, costOf, Pipe, requestOf, responseOf } from './codec-cost.ts'
import { formatTable, median } from './table.ts'

/** Streams that are open at once, as h2load -m 32 has them. */
const concurrency = 32

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
function measure(options: Http2Options, seconds: number): CodecCost {
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
  const turn = (): { answered: number; serverNs: bigint } => {
    answered = 0
    for (let i = 0; i < concurrency; i++) loop.client.begin(receiver).sendHead(requests[next++ & 63]!, true)
    const { fromClient, fromServer } = loop
    const sent = fromClient.position
    fromClient.position = 0
    const before = process.hrtime.bigint()
    loop.server.receive(fromClient.buffer, 0, sent)
    const serverNs = process.hrtime.bigint() - before
    const got = fromServer.position
    fromServer.position = 0
    loop.client.receive(fromServer.buffer, 0, got)
    loop.exchange()
    return { answered, serverNs }
  }
  return costOf(turn, seconds)
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
