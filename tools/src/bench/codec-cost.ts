import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ByteSink } from '@weft/http/stream'

/** What the benchmarks of both codecs have in common: the messages, the way between the two ends, and the measuring. */

/** A sink whose bytes the other end reads. */
export class Pipe implements ByteSink {
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

/** What a sidecar sends for a browser; `i` numbers it. */
export function requestOf(i: number): RequestHead {
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

/** Its answer, with the length of `body`. */
export function responseOf(): ResponseHead {
  const response = new ResponseHead()
  response.status = 200
  response.headers.append(headerName('content-type'), 'text/html; charset=utf-8')
  response.headers.append(headerName('content-length'), '1024')
  response.headers.append(headerName('server'), 'istio-envoy')
  response.headers.append(headerName('date'), 'Mon, 21 Oct 2013 20:13:21 GMT')
  response.headers.append(headerName('x-envoy-upstream-service-time'), '3')
  return response
}

export const body = Buffer.alloc(1024, 'x')

/** CPU of a request in nanoseconds, both ends together, and which part of it was the server's. */
export interface CodecCost {
  total: number
  server: number
}

/**
 * Measures `turn`, which has a number of requests answered and gives the nanoseconds (by the clock) of the server's part, for so
 * many seconds, when it has been compiled.
 */
export function costOf(turn: () => { answered: number; serverNs: bigint }, seconds: number): CodecCost {
  for (let i = 0; i < 2000; i++) turn()
  let answered = 0
  let serverNs = 0n
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  const end = start + BigInt(Math.round(seconds * 1e9))
  let now = start
  while (now < end) {
    for (let i = 0; i < 100; i++) {
      const done = turn()
      answered += done.answered
      serverNs += done.serverNs
    }
    now = process.hrtime.bigint()
  }
  // On a busy machine the clock goes on while others run: CPU time is what counts, the clock only says whose share it is.
  const { user, system } = process.cpuUsage(cpu)
  const total = ((user + system) * 1000) / answered
  return { total, server: (total * Number(serverNs)) / Number(now - start) }
}
