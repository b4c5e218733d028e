import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/** Two services in one process, one calling the other over gRPC while it serves a call; prints its log to standard output. */
const script = `
  const url = (name) => ${JSON.stringify(`${join(import.meta.dirname)}/`)} + name
  const { startTracing } = await import(url('tracing.ts'))
  const { createLifecycle } = await import(url('lifecycle.ts'))
  const { createLogger } = await import(url('logger.ts'))
  const { startGrpcServer, unary, clientOptions, toServiceError } = await import(url('grpc.ts'))
  const { credentials, ServerCredentials, makeGenericClientConstructor, Metadata } = await import('@grpc/grpc-js')
  const logger = createLogger('thing', 'info')
  const lifecycle = createLifecycle('thing', createLogger('thing', 'silent'))
  await startTracing('thing', '1.0', lifecycle, logger)
  const bytes = (value) => value
  const method = (name) => ({ path: '/test.Echo/' + name, requestStream: false, responseStream: false,
    requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes })
  const definition = { outer: method('Outer'), inner: method('Inner') }
  let client
  const implementation = {
    outer(call, callback) {
      logger.info('serving outer')
      unary(client.inner.bind(client), call.request, 2000).then((value) => callback(null, value), (error) => callback(toServiceError(error)))
    },
    inner(call, callback) { callback(null, call.request) },
  }
  const port = await startGrpcServer({ address: '127.0.0.1:0', credentials: ServerCredentials.createInsecure(),
    services: [{ definition, implementation }], lifecycle })
  client = new (makeGenericClientConstructor(definition, 'test.Echo'))('127.0.0.1:' + port, credentials.createInsecure(), clientOptions())
  const metadata = new Metadata()
  const plain = new (makeGenericClientConstructor(definition, 'test.Echo'))('127.0.0.1:' + port, credentials.createInsecure(), { plain: 1 })
  metadata.set('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
  await unary(plain.outer.bind(plain), Buffer.from('x'), 2000, metadata)
  client.close(); plain.close()
  await lifecycle.stop('done')
  console.error(JSON.stringify({ loaded: process.moduleLoadList.length, otel: [...new Set(Object.keys(process.getBuiltinModule('module')._cache ?? {}))].some((name) => name.includes('sdk-trace')) }))
  process.exit(0)`

async function run(env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  await once(child, 'close')
  return log
}

interface Span {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
}

it('spans go to the collector as one trace over both calls, and log lines carry it', async () => {
  const spans: Span[] = []
  const collector = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => {
      if (request.url === '/v1/traces') {
        for (const { scopeSpans } of JSON.parse(body).resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans)
      }
      response.end('{}')
    })
  }).listen(0, '127.0.0.1')
  await once(collector, 'listening')
  const address = collector.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const log = await run({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${address.port}` })
  collector.close()
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]))
  const named = (name: string, kind: number): Span | undefined => spans.find((span) => span.name === name && span.kind === kind)
  const [server, client] = [2, 3]
  const outer = named('test.Echo/Outer', server)
  const call = named('test.Echo/Inner', client)
  const inner = named('test.Echo/Inner', server)
  expect(outer?.parentSpanId, log).toBe('b7ad6b7169203331')
  expect(call?.parentSpanId).toBe(outer?.spanId)
  expect(inner?.parentSpanId).toBe(call?.spanId)
  const line: unknown = JSON.parse(log.split('\n').find((text) => text.includes('serving outer')) ?? '{}')
  expect(line).toMatchObject({ trace_id: traceId, span_id: outer?.spanId })
  expect(log).toContain('"otel":true')
})

it('loads nothing of OpenTelemetry when no endpoint is set', async () => {
  const log = await run({ OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '' })
  expect(log).toContain('"otel":false')
  expect(log).not.toContain('trace_id')
})
