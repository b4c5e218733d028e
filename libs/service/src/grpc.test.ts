import {
  type Client,
  credentials,
  type handleUnaryCall,
  makeGenericClientConstructor,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { errorCodes, WeftError } from './errors.ts'
import { clientOptions, startGrpcServer, toServiceError, unary } from './grpc.ts'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { createLogger } from './logger.ts'

const bytes = (value: Buffer): Buffer => value
const definition: ServiceDefinition = {
  echo: {
    path: '/test.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
}
type Call = handleUnaryCall<Buffer, Buffer>

async function echoServer(
  echo: Call,
  drainMs?: number,
): Promise<{ port: number; lifecycle: Lifecycle; call: (text: string, ms?: number) => Promise<string> }> {
  const lifecycle = createLifecycle('test', createLogger('test', 'silent'))
  onTestFinished(() => lifecycle.stop('end of test'))
  const port = await startGrpcServer({
    address: '127.0.0.1:0',
    credentials: ServerCredentials.createInsecure(),
    services: [{ definition, implementation: { echo } }],
    lifecycle,
    ...(drainMs === undefined ? {} : { drainMs }),
  })
  const EchoClient = makeGenericClientConstructor(definition, 'test.Echo')
  const client: Client = new EchoClient(`127.0.0.1:${port}`, credentials.createInsecure(), clientOptions())
  onTestFinished(() => client.close())
  return {
    port,
    lifecycle,
    async call(text, ms = 5_000) {
      const response = await unary<Buffer, Buffer>(
        (request, metadata, options, callback) =>
          client.makeUnaryRequest('/test.Echo/Echo', bytes, bytes, request, metadata, options, (error, value) =>
            callback(error, value ?? Buffer.alloc(0)),
          ),
        Buffer.from(text),
        ms,
      )
      return response.toString()
    },
  }
}

describe('a gRPC server and its client', () => {
  it('carry an answer, and each error with its code and what to do', async () => {
    const { call } = await echoServer(({ request }, callback) => {
      const code = errorCodes.find((known) => known === request.toString())
      if (code === undefined) callback(null, request)
      else callback(toServiceError(new WeftError(code, 'refused', { hint: 'do better' })))
    })
    expect(await call('hello')).toBe('hello')
    for (const code of errorCodes) await expect(call(code)).rejects.toMatchObject({ code, message: 'refused (do better)' })
  })

  it('end a call at its deadline', async () => {
    const { call } = await echoServer(() => undefined, 50)
    await expect(call('x', 50)).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })

  it('end a call when its signal aborts', async () => {
    const { port } = await echoServer(() => undefined, 50)
    const EchoClient = makeGenericClientConstructor(definition, 'test.Echo')
    const client: Client = new EchoClient(`127.0.0.1:${port}`, credentials.createInsecure())
    onTestFinished(() => client.close())
    const stopping = new AbortController()
    const call = unary<Buffer, Buffer>(
      (request, metadata, options, callback) =>
        client.makeUnaryRequest('/test.Echo/Echo', bytes, bytes, request, metadata, options, (error, value) =>
          callback(error, value ?? Buffer.alloc(0)),
        ),
      Buffer.from('x'),
      5_000,
      undefined,
      stopping.signal,
    )
    stopping.abort()
    await expect(call).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('finish calls in flight when the server stops, and cut those that take too long', async () => {
    let answer: (() => void) | undefined
    const finishing = await echoServer(({ request }, callback) => {
      answer = () => callback(null, request)
    })
    const inFlight = finishing.call('hello')
    await expect.poll(() => answer).toBeDefined()
    const stopped = finishing.lifecycle.stop('test')
    answer?.()
    expect(await inFlight).toBe('hello')
    await stopped

    let arrived = false
    const hanging = await echoServer(() => {
      arrived = true
    }, 50)
    const cut = expect(hanging.call('x')).rejects.toBeInstanceOf(WeftError)
    await expect.poll(() => arrived).toBe(true)
    await hanging.lifecycle.stop('test')
    await cut
  })

  it('say which address is taken', async () => {
    const { port } = await echoServer(() => undefined)
    const lifecycle = createLifecycle('test', createLogger('test', 'silent'))
    const second = startGrpcServer({
      address: `127.0.0.1:${port}`,
      credentials: ServerCredentials.createInsecure(),
      services: [],
      lifecycle,
    })
    await expect(second).rejects.toThrow(`gRPC server cannot listen on 127.0.0.1:${port}`)
  })
})
