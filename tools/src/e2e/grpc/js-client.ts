import { Client, type ClientUnaryCall, credentials, Metadata, type MetadataValue, type ServiceError } from '@grpc/grpc-js'
import { probe, type Seen, unlimited } from './probe.ts'

const identity = (value: Buffer): Buffer => value

/** Calls of the probe service by @grpc/grpc-js, the same as core_client.py makes. */
export class ProbeClient {
  private readonly client: Client

  constructor(port: number) {
    this.client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), unlimited)
  }

  close(): void {
    this.client.close()
  }

  echo(
    payload: Buffer,
    asked: Record<string, MetadataValue | MetadataValue[]> = {},
    timeoutMs = 20_000,
  ): Promise<{ answer: Buffer; initial: Metadata; trailing: Metadata }> {
    return this.unary(probe.echo.path, payload, asked, timeoutMs)
  }

  unary(
    path: string,
    payload: Buffer,
    asked: Record<string, MetadataValue | MetadataValue[]> = {},
    timeoutMs = 20_000,
  ): Promise<{ answer: Buffer; initial: Metadata; trailing: Metadata }> {
    return new Promise((resolve, reject) => {
      let answer: Buffer = Buffer.alloc(0)
      let initial = new Metadata()
      const call: ClientUnaryCall = this.client.makeUnaryRequest(
        path,
        identity,
        identity,
        payload,
        metadataOf(asked),
        { deadline: Date.now() + timeoutMs },
        (error, value) => {
          if (error === null) answer = value ?? answer
          else reject(error)
        },
      )
      call.on('metadata', (metadata: Metadata) => {
        initial = metadata
      })
      call.on('status', ({ metadata }: { metadata: Metadata }) => resolve({ answer, initial, trailing: metadata }))
    })
  }

  async seen(): Promise<Seen> {
    const { answer } = await this.unary(probe.seen.path, Buffer.alloc(0))
    return JSON.parse(answer.toString()) as Seen
  }

  spread(number: number, size: number, timeoutMs = 60_000) {
    const asked = Buffer.from(`${number} ${size}`)
    const options = { deadline: Date.now() + timeoutMs }
    const call = this.client.makeServerStreamRequest(probe.spread.path, identity, identity, asked, new Metadata(), options)
    // Each way of reading it tells of errors by itself; one that comes late is nobody's.
    call.on('error', () => {})
    return call
  }

  chat(timeoutMs = 20_000) {
    const options = { deadline: Date.now() + timeoutMs }
    const call = this.client.makeBidiStreamRequest(probe.chat.path, identity, identity, new Metadata(), options)
    call.on('error', () => {})
    return call
  }

  collect(pieces: number, size: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + 20_000 }
      const call = this.client.makeClientStreamRequest(
        probe.collect.path,
        identity,
        identity,
        new Metadata(),
        options,
        (error, value) => (error === null ? resolve(String(value)) : reject(error)),
      )
      for (let i = 0; i < pieces; i++) call.write(Buffer.alloc(size, 'x'))
      call.end()
    })
  }
}

function metadataOf(asked: Record<string, MetadataValue | MetadataValue[]>): Metadata {
  const metadata = new Metadata()
  for (const [key, values] of Object.entries(asked)) for (const value of [values].flat()) metadata.add(key, value)
  return metadata
}

/** Code and details of a call that has to fail. */
export async function failure(call: Promise<unknown>): Promise<[code: number, details: string]> {
  try {
    await call
    return [0, '']
  } catch (error) {
    const { code, details } = error as ServiceError
    return [code, details]
  }
}

/** Makes every call; each gives what core_client.py prints. */
export function jsCalls(client: ProbeClient): Record<string, () => Promise<unknown>> {
  return {
    unary: async () => (await client.echo(Buffer.from('hello'))).answer.length,
    large: async () => {
      const payload = Buffer.alloc(5 * 1024 * 1024)
      return (await client.echo(payload, {}, 60_000)).answer.equals(payload)
    },
    metadata: async () => {
      const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      const { initial, trailing } = await client.echo(Buffer.alloc(0), { 'x-echo': ['one', 'two'], 'x-echo-bin': binary })
      const plain = (value: MetadataValue | undefined) => (Buffer.isBuffer(value) ? [...value] : value)
      const pairs = ['x-echo', 'x-echo-bin'].flatMap((key) => initial.get(key).map((value) => [key, plain(value)]))
      return [pairs, trailing.get('x-trailer')[0], plain(trailing.get('x-trailer-bin')[0])]
    },
    client_stream: () => client.collect(200, 1000),
    server_stream: async () => {
      const lengths: number[] = []
      for await (const piece of client.spread(300, 1000)) lengths.push(piece.length)
      return lengths
    },
    both_ways: async () => {
      const call = client.chat()
      const answers: number[] = []
      call.write(Buffer.from('0'))
      for await (const piece of call) {
        answers.push(Number(piece))
        if (answers.length < 50) call.write(Buffer.from(String(answers.length)))
        else call.end()
      }
      return answers.length === 50 && answers.every((answer, i) => answer === i)
    },
    status: () => failure(client.echo(Buffer.alloc(0), { 'x-status': '5' })),
    unimplemented: async () => (await failure(client.unary('/weft.e2e.Probe/Nothing', Buffer.alloc(0))))[0],
    deadline: async () => (await failure(client.echo(Buffer.alloc(0), { 'x-sleep-ms': '20000' }, 300)))[0],
    cancel: () =>
      new Promise((resolve) => {
        const call = client.spread(1_000_000, 1000)
        let got = 0
        call.on('data', () => {
          if (++got === 10) call.cancel()
        })
        call.on('status', ({ code }: { code: number }) => resolve(code))
      }),
    retries: async () => (await client.echo(Buffer.from('again'), { 'x-fail-first': 'js:2:14' })).answer.length,
    exhausted: async () => (await failure(client.echo(Buffer.alloc(0), { 'x-fail-first': 'js-all:100:14' })))[0],
  }
}
