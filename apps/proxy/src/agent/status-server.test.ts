import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { expect, onTestFinished, test } from 'vitest'
import { applicationMetrics } from './metrics.ts'
import { AppProbes } from './probes.ts'
import { startStatusServer } from './status-server.ts'

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  return (server.address() as AddressInfo).port
}

const httpServer = (listener: RequestListener): Promise<number> => listening(createHttpServer({ keepAliveTimeout: 1 }, listener))

/** A status server beside an admin server and an application. */
async function agent(options: { admin?: RequestListener; probers?: unknown; metrics?: string[] } = {}) {
  const admin = await httpServer(options.admin ?? ((_request, response) => void response.end('LIVE\n')))
  const { ports, close } = await startStatusServer({
    ports: [0, 0],
    admin: `http://127.0.0.1:${admin}`,
    probes: new AppProbes(JSON.stringify(options.probers ?? {}), '127.0.0.1'),
    applicationMetrics: options.metrics ?? [],
  })
  onTestFinished(close)
  return async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(`http://127.0.0.1:${ports[1]}${path}`, init)
    return { status: answer.status, body: await answer.text() }
  }
}

test('the pod is ready when the proxy is', async () => {
  let ready = false
  const ask = await agent({
    admin: (request, response) => void response.writeHead(request.url === '/ready' && ready ? 200 : 503).end('STATE'),
  })
  expect(await ask('/healthz/ready')).toEqual({ status: 503, body: 'STATE\n' })
  ready = true
  expect((await ask('/healthz/ready')).status).toBe(200)
  expect((await ask('/elsewhere')).status).toBe(404)
})

test('an HTTP probe is put to the application, with its headers, and its answer given back', async () => {
  const seen: (string | undefined)[] = []
  const app = await httpServer((request, response) => {
    seen.push(`${request.url} ${request.headers['x-probe']} ${request.headers.host} ${request.socket.remoteAddress}`)
    if (request.url === '/moved') response.writeHead(302, { location: '/ready?x=1' }).end()
    else if (request.url === '/away') response.writeHead(302, { location: 'http://other.example/' }).end()
    else if (request.url === '/round') response.writeHead(302, { location: '/round' }).end()
    else response.writeHead(request.url === '/ready?x=1' ? 200 : 503).end('y'.repeat(20_000))
  })
  const httpGet = (path: string) => ({ httpGet: { port: app, path, httpHeaders: [{ name: 'Host', value: 'a.example' }] } })
  const probers = {
    '/app-health/app/readyz': httpGet('/ready?x=1'),
    '/app-health/app/livez': httpGet('/sick'),
    '/app-health/app/startupz': httpGet('/moved'),
    '/app-lifecycle/app/prestopz': httpGet('/away'),
    '/app-lifecycle/app/poststartz': httpGet('/round'),
  }
  const ask = await agent({ probers })
  const answer = await ask('/app-health/app/readyz', { headers: { 'x-probe': 'kubelet' } })
  expect([answer.status, answer.body.length]).toEqual([200, (10 << 10) + 1])
  // From this address the packet filter lets the connection through to the application.
  expect(seen).toEqual(['/ready?x=1 kubelet a.example 127.0.0.6'])
  expect((await ask('/app-health/app/livez')).status).toBe(503)
  expect((await ask('/app-health/app/startupz')).status).toBe(200)
  expect((await ask('/app-lifecycle/app/prestopz')).status).toBe(302)
  expect(await ask('/app-lifecycle/app/poststartz')).toMatchObject({ status: 500, body: /redirects/ })
  expect((await ask('/app-health/other/readyz')).status).toBe(404)
})

test('a TCP probe connects; one that hangs ends in its time', async () => {
  const open = await listening(createTcpServer((socket) => socket.end()))
  const hanging = await httpServer(() => undefined)
  const probers = {
    '/app-health/app/readyz': { tcpSocket: { port: open } },
    '/app-health/app/startupz': { httpGet: { port: hanging }, timeoutSeconds: 1 },
  }
  const ask = await agent({ probers })
  expect((await ask('/app-health/app/readyz')).status).toBe(200)
  expect(await ask('/app-health/app/startupz')).toEqual({
    status: 500,
    body: 'the application did not answer: no answer within 1000 ms\n',
  })
})

test('a gRPC probe is healthy when the application says that the service is serving', async () => {
  const server = new GrpcServer()
  const asIs = (value: Buffer): Buffer => value
  server.addService(
    {
      check: {
        path: '/grpc.health.v1.Health/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
    {
      // HealthCheckRequest.service is field 1, HealthCheckResponse.status too.
      check: (call: { request: Buffer }, done: (error: Error | null, response?: Buffer) => void) => {
        const service = call.request.subarray(2).toString()
        if (service === 'unknown') done(Object.assign(new Error('no'), { code: 5 }))
        else done(null, Buffer.of(0x08, service === 'sick' ? 2 : 1))
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  onTestFinished(() => server.forceShutdown())
  const grpc = (service?: string) => ({ grpc: { port, ...(service === undefined ? {} : { service }) }, timeoutSeconds: 10 })
  const probers = {
    '/app-health/app/readyz': grpc(),
    '/app-health/app/livez': grpc('sick'),
    '/app-health/app/startupz': grpc('unknown'),
  }
  const ask = await agent({ probers })
  expect((await ask('/app-health/app/readyz')).status).toBe(200)
  expect(await ask('/app-health/app/livez')).toMatchObject({ status: 500, body: /not serving/ })
  expect(await ask('/app-health/app/startupz')).toMatchObject({ status: 500, body: /grpc-status 5/ })
})

test("the application's metrics come after the proxy's; one that cannot be had is left out", async () => {
  const app = await httpServer((_request, response) => void response.end('app_total 2\n# EOF\n'))
  const metrics = applicationMetrics(
    JSON.stringify({
      targets: [
        { port: String(app), path: '/m' },
        { port: '1', path: '/x' },
      ],
    }),
  )
  const ask = await agent({ admin: (_request, response) => void response.end('proxy_total 1'), metrics })
  expect(await ask('/stats/prometheus')).toEqual({ status: 200, body: 'proxy_total 1\napp_total 2\n' })
})

test('draining and ending go to the proxy, by POST', async () => {
  const asked: string[] = []
  const admin: RequestListener = (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end('OK')
  }
  const ask = await agent({ admin })
  expect((await ask('/drain', { method: 'POST' })).status).toBe(200)
  expect((await ask('/quitquitquit', { method: 'POST' })).status).toBe(200)
  expect((await ask('/quitquitquit')).status).toBe(405)
  expect(asked).toEqual(['POST /drain_listeners?inboundonly&graceful&skip_exit', 'POST /quitquitquit'])
})

test.for([
  ['{', /no JSON/],
  ['{"/app-health/a/b":{}}', /no HTTP, TCP or gRPC probe/],
  ['{"/app-health/a/livez":{"httpGet":{"port":"web"}}}', /no HTTP, TCP or gRPC probe/],
  ['{"/app-health/a/livez":{"grpc":{"port":1},"tcpSocket":{"port":1}}}', /no HTTP, TCP or gRPC probe/],
] as const)('probes that cannot be asked are refused: %s', ([json, message]) => {
  expect(() => new AppProbes(json, 'localhost')).toThrow(message)
})

test.for([
  ['', []],
  ['{"scrape":"false","port":"80"}', []],
  ['{"scrape":"true","path":"","port":""}', ['http://localhost:80/metrics']],
  ['{"path":"/m","port":"9"}', ['http://localhost:9/m']],
] as const)('where metrics are: %s', ([json, urls]) => {
  expect(applicationMetrics(json)).toEqual(urls)
})
