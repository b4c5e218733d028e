import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ExtAuthz, type HttpService } from '@weft/contracts/envoy/extensions/filters/http/ext_authz/v3/ext_authz'
import { headerName } from '@weft/http/header-name'
import { ResponseHead } from '@weft/http/message'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { extAuthz } from './index.ts'

let server: Server
let context: FakeContext
let answer: (request: IncomingMessage, response: ServerResponse) => void
const route = { name: '', virtualHost: '', cluster: 'app', metadata: {} }

beforeEach(async () => {
  server = createServer((request, response) => answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  context = new FakeContext({ authz: address.port })
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
  context.close()
})

function compile(more: Parameters<typeof ExtAuthz.fromPartial>[0] = {}, cluster = 'authz') {
  const config = ExtAuthz.fromPartial({
    services: {
      $case: 'httpService',
      value: {
        serverUri: { uri: 'http://authz', httpUpstreamType: { $case: 'cluster', value: cluster }, timeout: { seconds: 5 } },
        authorizationResponse: { allowedUpstreamHeaders: { patterns: [{ matchPattern: { $case: 'exact', value: 'x-user' } }] } },
      },
    },
    ...more,
  })
  return extAuthz.compile(ExtAuthz.encode(config).finish(), context)
}

type HttpServicePartial = Parameters<typeof HttpService.fromPartial>[0]

/** A configuration whose service is asked so. */
function withRequest(authorizationRequest: NonNullable<HttpServicePartial>['authorizationRequest']) {
  const serverUri = {
    uri: 'http://authz',
    httpUpstreamType: { $case: 'cluster' as const, value: 'authz' },
    timeout: { seconds: 5 },
  }
  return { services: { $case: 'httpService' as const, value: { serverUri, authorizationRequest } } }
}

describe('ext_authz by an HTTP service', () => {
  it('asks with method, path, host and authorization, and takes over what the service allows', async () => {
    const asked: unknown[] = []
    answer = (request, response) => {
      const { method, url, headers } = request
      asked.push([method, url, headers.host, headers.authorization, headers['x-other']])
      response.writeHead(200, { 'x-user': 'bob', 'x-secret': '1' }).end()
    }
    const stream = new FakeStream({
      route,
      path: '/a?b',
      headers: { authorization: 'Bearer t', 'x-other': '1', 'x-user': 'forged' },
    })
    const filter = compile().start(stream, undefined)
    expect(filter?.onRequestHeaders?.(stream, true)).toBe('stop')
    await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
    expect(asked).toEqual([['GET', '/a?b', 'test.example', 'Bearer t', undefined]])
    expect(stream.request.headers.getAll(headerName('x-user'))).toBe('bob')
    expect(stream.request.headers.has(headerName('x-secret'))).toBe(false)
    expect(context.counter('cluster.app.ext_authz.ok')).toBe(1)
  })

  it('adds headers that have a value, and no other', async () => {
    const asked: unknown[] = []
    answer = (request, response) => {
      asked.push([request.headers['x-is'], request.headers['x-none']])
      response.writeHead(200).end()
    }
    const stream = new FakeStream({ route, headers: { 'x-in': '1' } })
    compile(
      withRequest({
        headersToAdd: [
          { key: 'x-is', value: '%REQ(x-in)%' },
          { key: 'x-none', value: '%REQ(x-no)%' },
        ],
      }),
    )
      .start(stream, undefined)
      ?.onRequestHeaders?.(stream, true)
    await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
    expect(asked).toEqual([['1', undefined]])
  })

  it('refuses what Envoy refuses', () => {
    expect(() => compile(withRequest({ headersToAdd: [{ key: ':path', value: 'x' }] }))).toThrow('may not be modified')
    const twice = { ...withRequest({ allowedHeaders: { patterns: [] } }), allowedHeaders: { patterns: [] } }
    expect(() => compile(twice)).toThrow('Invalid duplicate configuration for allowed_headers.')
  })

  it('hands a denial on with its status, body and headers', async () => {
    answer = (_request, response) =>
      response.writeHead(401, { 'www-authenticate': 'Basic', 'set-cookie': ['a=1', 'b=2'] }).end('who?')
    const stream = new FakeStream({ route })
    compile().start(stream, undefined)?.onRequestHeaders?.(stream, true)
    await vi.waitFor(() => expect(stream.replied).not.toBeNull())
    expect(stream.replied).toMatchObject({ status: 401, body: 'who?', options: { details: 'ext_authz_denied', flags: ['UAEX'] } })
    stream.replied?.options.edit?.(stream.response)
    expect(stream.response.headers.getAll(headerName('set-cookie'))).toBe('a=1,b=2')
  })

  it.each([
    ['fails closed', {}, { status: 403, options: { details: 'ext_authz_error' } }],
    ['with a status of its own', { statusOnError: { code: 503 as const } }, { status: 503 }],
    ['or open where that is allowed', { failureModeAllow: true, failureModeAllowHeaderAdd: true }, null],
  ])('when the service is not there it %s', async (_name, more, reply) => {
    const stream = new FakeStream({ route })
    compile(more, 'nowhere').start(stream, undefined)?.onRequestHeaders?.(stream, true)
    await vi.waitFor(() => expect(stream.replied !== null || stream.requestsContinued === 1).toBe(true))
    if (reply === null) expect(stream.request.headers.get(headerName('x-envoy-auth-failure-mode-allowed'))).toBe('true')
    else expect(stream.replied).toMatchObject(reply)
    expect(context.counter('http.test.ext_authz.error')).toBe(1)
  })

  it('lets pass in shadow mode what it denies or cannot ask about, and counts it', async () => {
    answer = (_request, response) => response.writeHead(403, { 'x-why': 'no' }).end('no')
    for (const cluster of ['authz', 'nowhere']) {
      const stream = new FakeStream({ route })
      compile({ shadowMode: true }, cluster).start(stream, undefined)?.onRequestHeaders?.(stream, true)
      await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
      expect(stream.replied).toBeNull()
    }
    expect(context.counter('http.test.ext_authz.shadow_denied')).toBe(1)
    expect(context.counter('http.test.ext_authz.shadow_error')).toBe(1)
  })

  it.each([
    [['X-User'], true],
    [['x-other'], false],
  ])('chooses the route anew where one of %j changes', async (clearRouteCacheHeaders, cleared) => {
    answer = (_request, response) => response.writeHead(200, { 'x-user': 'bob' }).end()
    const stream = new FakeStream({ route })
    const clear = vi.spyOn(stream, 'clearRoute')
    compile({ clearRouteCache: true, clearRouteCacheHeaders }).start(stream, undefined)?.onRequestHeaders?.(stream, true)
    await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
    expect(clear.mock.calls.length > 0).toBe(cleared)
  })

  it('tells the client what an answer that denies says, joined where one is kept, and how long it took; not what was to be removed', async () => {
    answer = (_request, response) => {
      response.setHeader('x-envoy-auth-headers-to-remove', 'x-a')
      response.setHeader('location', ['/a', '/b'])
      response.writeHead(302).end()
    }
    const stream = new FakeStream({ route })
    compile().start(stream, undefined)?.onRequestHeaders?.(stream, true)
    await vi.waitFor(() => expect(stream.replied).not.toBeNull())
    const response = new ResponseHead()
    stream.replied?.options.edit?.(response)
    const names: string[] = []
    response.headers.forEach((name) => {
      names.push(name)
    })
    expect(names).toEqual(expect.arrayContaining(['location', 'x-envoy-upstream-service-time']))
    expect(names).not.toContain('x-envoy-auth-headers-to-remove')
    expect(response.headers.get(headerName('location'))).toBe('/a,/b')
  })

  it('asks at once where the request becomes something else, whose body has no end', async () => {
    answer = (_request, response) => response.end()
    const stream = new FakeStream({ route, upgrade: 'websocket' })
    const filter = compile({ withRequestBody: { maxRequestBytes: 4, allowPartialMessage: true } }).start(stream, undefined)
    expect(filter?.onRequestHeaders?.(stream, false)).toBe('stop')
    await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
  })

  it('sends what was gathered of the body, and says that it is not all', async () => {
    const asked: string[] = []
    answer = (request, response) => {
      request
        .setEncoding('latin1')
        .on('data', (text: string) => asked.push(text, String(request.headers['x-envoy-auth-partial-body'])))
      request.on('end', () => response.end())
    }
    const stream = new FakeStream({ route, method: 'POST' })
    const filter = compile({ withRequestBody: { maxRequestBytes: 4, allowPartialMessage: true } }).start(stream, undefined)
    expect(filter?.onRequestHeaders?.(stream, false)).toBe('buffer')
    expect(filter?.onRequestData?.(stream, Buffer.from('ab'), false)).toBe('buffer')
    expect(filter?.onRequestData?.(stream, Buffer.from('cdef'), false)).toBe('stop')
    await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
    expect(asked).toEqual(['abcd', 'true'])
    expect(filter?.onRequestData?.(stream, Buffer.from('more'), true)).toBe('continue')
  })
})
