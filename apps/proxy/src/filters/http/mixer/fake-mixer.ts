import { once } from 'node:events'
import { createServer, type Http2Server } from 'node:http2'
import { encodeReferences } from '@weft/attributes/references'
import { CheckRequest, CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { ReportRequest, ReportResponse } from '@weft/contracts/istio/mixer/v1/report'

/** A Mixer for tests that answers as they say, over real HTTP/2. */
export class FakeMixer {
  readonly checks: CheckRequest[] = []
  readonly reports: ReportRequest[] = []
  answer: CheckResponse = allowed()
  revision: string | undefined
  readonly #server: Http2Server = createServer()
  readonly #sessions = new Set<{ destroy(): void }>()

  static async open(): Promise<FakeMixer> {
    const mixer = new FakeMixer()
    mixer.#serve()
    mixer.#server.listen(0, '127.0.0.1')
    await once(mixer.#server, 'listening')
    return mixer
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  close(): void {
    for (const session of this.#sessions) session.destroy()
    this.#sessions.clear()
    this.#server.close()
  }

  #serve(): void {
    this.#server.on('session', (session) => {
      this.#sessions.add(session)
      session.on('error', () => {})
    })
    this.#server.on('stream', (stream, headers) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const body = this.#answerTo(String(headers[':path']), Buffer.concat(chunks).subarray(5))
        const head = Buffer.alloc(5)
        head.writeUInt32BE(body.length, 1)
        const { revision } = this
        stream.respond(
          { ':status': 200, ...(revision === undefined ? {} : { 'weft-policy-revision': revision }) },
          { waitForTrailers: true },
        )
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(Buffer.concat([head, body]))
      })
    })
  }

  #answerTo(path: string, message: Buffer): Uint8Array {
    if (path === '/istio.mixer.v1.Mixer/Check') {
      this.checks.push(CheckRequest.decode(message))
      return CheckResponse.encode(this.answer).finish()
    }
    this.reports.push(ReportRequest.decode(message))
    return ReportResponse.encode({}).finish()
  }
}

/** A verdict that depends on the header `user`. */
export function allowed(): CheckResponse {
  return CheckResponse.create({
    precondition: {
      status: { code: 0 },
      validUseCount: 1000,
      validDuration: { seconds: 60, nanos: 0 },
      referencedAttributes: encodeReferences([{ name: 'request.headers', key: 'user', condition: 'exact' }]),
    },
  })
}

export function denied(code: number, message: string): CheckResponse {
  const response = allowed()
  if (response.precondition) response.precondition.status = { code, message, details: [] }
  return response
}
