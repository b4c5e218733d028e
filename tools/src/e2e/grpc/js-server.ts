/** The probe service by @grpc/grpc-js. Usage: js-server.ts PORT */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { probe, type Seen, unlimited } from './probe.ts'

/** What calls of every kind have. */
interface AnyCall {
  readonly metadata: Metadata
  sendMetadata(metadata: Metadata): void
  once(event: string, listener: () => void): unknown
}

const seen: Seen = { cancelled: 0, sent: 0, attempts: {} }

function trailers(): Metadata {
  const metadata = new Metadata()
  metadata.set('x-trailer', 'end')
  metadata.set('x-trailer-bin', Buffer.from([0, 255]))
  return metadata
}

/** What all methods do with metadata; gives the failure that is asked for. */
async function begin(call: AnyCall): Promise<{ code: number; details: string; metadata: Metadata } | null> {
  const { metadata } = call
  const asked = (key: string): string | undefined => metadata.get(key)[0]?.toString()
  const [key, times, code] = asked('x-fail-first')?.split(':') ?? []
  if (key !== undefined) {
    const attempt = (seen.attempts[key] ?? 0) + 1
    seen.attempts[key] = attempt
    if (attempt <= Number(times)) return { code: Number(code), details: 'asked to fail', metadata: trailers() }
  }
  const first = new Metadata()
  for (const key of ['x-echo', 'x-echo-bin']) for (const value of metadata.get(key)) first.add(key, value)
  call.sendMetadata(first)
  const sleep = asked('x-sleep-ms')
  if (sleep !== undefined) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Number(sleep))
      call.once('cancelled', () => {
        seen.cancelled++
        clearTimeout(timer)
        resolve()
      })
    })
  }
  const status = asked('x-status')
  return status === undefined ? null : { code: Number(status), details: 'café %\nline', metadata: trailers() }
}

const server = new Server(unlimited)
server.addService(probe, {
  async echo(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
    const failure = await begin(call)
    if (failure === null) done(null, call.request, trailers())
    else done(failure)
  },
  async collect(call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
    let length = 0
    call.on('data', (piece: Buffer) => {
      length += piece.length
    })
    call.on('end', () => done(null, Buffer.from(String(length)), trailers()))
    await begin(call)
  },
  async spread(call: ServerWritableStream<Buffer, Buffer>) {
    call.on('error', () => {})
    call.once('cancelled', () => seen.cancelled++)
    await begin(call)
    const [number = 0, size = 0] = call.request.toString().split(' ').map(Number)
    const piece = Buffer.alloc(size, 'x')
    for (let i = 0; i < number && !call.cancelled; i++) {
      const more = call.write(piece)
      seen.sent++
      if (!more) await new Promise<void>((resolve) => call.once('drain', resolve).once('cancelled', () => resolve()))
    }
    if (!call.cancelled) call.end(trailers())
  },
  async chat(call: ServerDuplexStream<Buffer, Buffer>) {
    call.on('error', () => {})
    call.once('cancelled', () => seen.cancelled++)
    call.on('data', (piece: Buffer) => call.write(piece))
    call.on('end', () => call.end(trailers()))
    await begin(call)
  },
  seen(_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
    done(null, Buffer.from(JSON.stringify(seen)))
  },
})
server.bindAsync(`127.0.0.1:${process.argv[2]}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error
})
