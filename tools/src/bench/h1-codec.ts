/** What the HTTP/1.1 codec costs a request, without sockets: both ends' encoding and decoding, in one thread. */

import { defaultClientOptions, Http1ClientConnection } from '@weft/http/h1/client-connection'
import { defaultServerOptions, Http1ServerConnection } from '@weft/http/h1/server-connection'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingRequest, IncomingResponse } from '@weft/http/stream'
import type { BenchOptions } from './bench-options.ts'
import { body, type CodecCost, costOf, Pipe, requestOf, responseOf } from './codec-cost.ts'
import { formatTable, median } from './table.ts'

const unexpected = (what: string) => () => {
  throw new Error(what)
}

/** `cut`: so many bytes come at a time. */
function measure(seconds: number, cut: number): CodecCost {
  const [fromClient, fromServer] = [new Pipe(), new Pipe()]
  const answer = responseOf()
  const request: IncomingRequest = {
    request: new RequestHead(),
    onRequestHead: () => {
      server.sendHead(answer, false)
      server.sendData(body, 0, body.length, true)
    },
    onRequestData: () => {},
    onRequestTrailers: () => {},
    onRequestReset: unexpected('the request was reset'),
    onRequestError: unexpected('the request was refused'),
    onResponseWritable: () => {},
  }
  const server = new Http1ServerConnection(fromServer, defaultServerOptions, {
    begin: () => request,
    closeAfterWrite: unexpected('the server closed the connection'),
    pause: () => {},
    resume: () => {},
    idle: () => {},
  })
  let answered = 0
  const response: IncomingResponse = {
    response: new ResponseHead(),
    onInterim: () => {},
    onResponseHead: () => {},
    onResponseData: (_buffer, _start, _end, endStream) => {
      if (endStream) answered++
    },
    onResponseTrailers: () => {},
    onResponseReset: unexpected('the response was reset'),
    onRequestWritable: () => {},
  }
  const client = new Http1ClientConnection(fromClient, defaultClientOptions, {
    reusable: () => {},
    close: unexpected('the client closed the connection'),
    withdraw: () => false,
    surplus: () => {},
    endWriting: () => {},
    pause: () => {},
    resume: () => {},
  })
  const pass = ({ buffer, position }: Pipe, end: { receive(bytes: Buffer, start: number, end: number): void }): void => {
    for (let at = 0; at < position; at += cut) end.receive(buffer, at, Math.min(position, at + cut))
  }
  const requests = Array.from({ length: 64 }, (_, i) => requestOf(i))
  let next = 0
  return costOf(() => {
    answered = 0
    let serverNs = 0n
    for (let i = 0; i < 32; i++) {
      client.begin(response)
      client.sendHead(requests[next++ & 63]!, true)
      const before = process.hrtime.bigint()
      pass(fromClient, server)
      serverNs += process.hrtime.bigint() - before
      fromClient.position = 0
      pass(fromServer, client)
      fromServer.position = 0
    }
    return { answered, serverNs }
  }, seconds)
}

/** Prints the codec's cost of a request: one that comes whole, and one that comes in pieces of 100 bytes. */
export async function benchH1Codec({ rounds, seconds }: BenchOptions): Promise<void> {
  const rows: string[][] = []
  const result: Record<string, number> = {}
  for (const [name, cut] of [
    ['whole', Number.MAX_SAFE_INTEGER],
    ['pieces', 100],
  ] as const) {
    const measured = Array.from({ length: rounds }, () => measure(seconds / 2, cut))
    const total = median(measured.map((one) => one.total))
    const server = median(measured.map((one) => one.server))
    rows.push([name, server.toFixed(0), (total - server).toFixed(0), total.toFixed(0)])
    result[`${name}Ns`] = Math.round(total)
  }
  console.log(formatTable(['h1 codec, ns a request', 'server', 'client', 'both'], rows))
  console.log(JSON.stringify({ bench: 'h1-codec', ...result }))
}
