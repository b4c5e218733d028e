import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FilterConfig } from '@weft/contracts/envoy/config/route/v3/route_components'
import { TypeScript, TypeScriptPerRoute } from '@weft/contracts/weft/filters/http/typescript/v1/typescript'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkResource } from '../../../plan/check.ts'
import { any, cluster, connectionManager, listener, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { upstream, worker } from '../../../testing/test-proxy.ts'
import { ask, until } from '../../../testing/worker-harness.ts'

type Source = Parameters<(typeof TypeScript)['fromPartial']>[0]

const type = 'weft.filters.http.typescript.v1.TypeScript'
const inline = (code: string): Source => ({ code: { specifier: { $case: 'inlineString', value: code } } })
const filter = (body: string): string => `import { httpFilter } from '@weft/proxy/filter'\nexport default httpFilter({ ${body} })`

function resources(source: Source, port: number, routes = [routeTo('c')]) {
  const config = TypeScript.encode(TypeScript.fromPartial(source)).finish()
  const manager = connectionManager(routes, { httpFilters: [typed('mine', type, config), routerFilter] })
  return [cluster('c', [port]), listener('in', [{ filters: [manager] }])] as const
}

/** A worker with the filter, in front of an origin that says what it got. */
async function start(source: Source, routes?: Parameters<typeof resources>[2]) {
  const origin = await upstream((request, response, body) => {
    response.setHeader('x-origin', 'yes')
    response.end(`${request.method} ${request.url} user=${request.headers['x-user']} body=${body}`)
  })
  const proxy = worker()
  expect(await proxy.apply(...resources(source, origin.port, routes))).toEqual([])
  const count = (name: string) => proxy.stats.value(`http.test.typescript.${name}`) ?? 0
  await until(() => count('loaded') + count('load_failed') > 0, 'the filter to be loaded')
  return { port: proxy.port('in'), count }
}

describe('a filter in TypeScript', () => {
  it('of the page docs/proxy-filters.md does what the page says', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../../../docs/proxy-filters.md'), 'utf8')
    const code = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
    const { port, count } = await start({ ...inline(code), config: { keys: { s3cret: 'alice' } } })
    expect(await ask(port, '/')).toMatchObject({
      status: 401,
      body: 'api key missing or unknown\n',
      headers: { 'x-filtered': 'yes' },
    })
    const answer = await ask(port, '/a', { headers: { 'x-api-key': 's3cret' } })
    expect(answer).toMatchObject({
      status: 200,
      body: 'GET /a user=alice body=',
      headers: { 'x-filtered': 'yes', 'x-origin': 'yes' },
    })
    expect(count('replied')).toBe(1)
  })

  it('may wait, change paths, and see and replace bodies', async () => {
    const code = filter(`
      async onRequest(request) { await new Promise((resolve) => setImmediate(resolve)); request.path = '/other' },
      onRequestBody(request, body: Uint8Array) { if (body.length > 0) return 'got ' + Buffer.from(body).toString() },
      async onResponseBody(response, body) { response.status = 202; return Buffer.from(body).toString().toUpperCase() }`)
    const { port } = await start(inline(code))
    expect(await ask(port, '/', { method: 'POST', body: 'hi' })).toMatchObject({
      status: 202,
      body: 'POST /OTHER USER=UNDEFINED BODY=GOT HI',
    })
    expect(await ask(port, '/')).toMatchObject({ status: 202, body: 'GET /OTHER USER=UNDEFINED BODY=' })
  })

  it('has bodies up to its limit', async () => {
    const { port } = await start({ ...inline(filter('onRequestBody() { return undefined }')), maxBodyBytes: 10 })
    expect(await ask(port, '/', { method: 'POST', body: '0123456789' })).toMatchObject({ status: 200 })
    expect(await ask(port, '/', { method: 'POST', body: '0123456789a' })).toMatchObject({ status: 413 })
  })

  it.each([
    ['a throw', 'onRequest() { throw new Error("no") }'],
    ['a rejection', 'async onRequest() { throw new Error("no") }'],
    ['a promise that takes too long', 'onRequest() { return new Promise(() => {}) }'],
    ['a throw of what looks at bodies', 'onRequestBody() { throw new Error("no") }'],
    ['a header that no message may have', 'onRequest(request) { request.headers.set("a", "b\\r\\nc: d") }'],
  ])('that fails by %s answers, or lets the request go on, as configured', async (_what, body) => {
    const settings = { ...inline(filter(body)), timeout: { seconds: 0, nanos: 50_000_000 } }
    const closed = await start(settings)
    expect(await ask(closed.port, '/', { method: 'POST', body: 'x' })).toMatchObject({ status: 500, body: 'filter mine failed' })
    expect(closed.count('failed')).toBe(1)
    const opened = await start({ ...settings, failureModeAllow: true })
    expect(await ask(opened.port, '/', { method: 'POST', body: 'x' })).toMatchObject({
      status: 200,
      body: 'POST / user=undefined body=x',
    })
    expect(opened.count('failed')).toBe(1)
  })

  it('that cannot be loaded fails each request', async () => {
    const { port, count } = await start(inline('export default { onRequests() {} }'))
    expect(await ask(port, '/')).toMatchObject({ status: 500 })
    expect(count('load_failed')).toBe(1)
  })

  it('is loaded again when its file changes, and goes on as it was when that cannot be', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-filter-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'filter.ts')
    const write = (version: number) =>
      writeFileSync(path, filter(`onRequest(request: any) { return request.reply(200, 'v${version}') }`))
    write(1)
    const { port, count } = await start({ code: { specifier: { $case: 'filename', value: path } } })
    expect(await ask(port, '/')).toMatchObject({ body: 'v1' })
    write(2)
    await until(() => count('loaded') === 2, 'the second version')
    expect(await ask(port, '/')).toMatchObject({ body: 'v2' })
    writeFileSync(path, 'export default 5')
    await until(() => count('load_failed') === 1, 'the third to be refused')
    expect(await ask(port, '/')).toMatchObject({ body: 'v2' })
  })

  it('has another configuration on a route, or none of it', async () => {
    const override = (value: Parameters<(typeof TypeScriptPerRoute)['fromPartial']>[0]) => ({
      mine: any(`${type}PerRoute`, TypeScriptPerRoute.encode(TypeScriptPerRoute.fromPartial(value)).finish()),
    })
    const off = FilterConfig.encode(FilterConfig.fromPartial({ disabled: true })).finish()
    const { port } = await start(
      {
        ...inline(filter(`onRequest(request, { config }) { request.headers.set('x-user', config.user) }`)),
        config: { user: 'all' },
      },
      [
        { ...routeTo('c', '/own'), typedPerFilterConfig: override({ override: { $case: 'config', value: { user: 'own' } } }) },
        { ...routeTo('c', '/off'), typedPerFilterConfig: override({ override: { $case: 'disabled', value: true } }) },
        { ...routeTo('c', '/none'), typedPerFilterConfig: { mine: any('envoy.config.route.v3.FilterConfig', off) } },
        routeTo('c'),
      ],
    )
    const users = await Promise.all(
      ['/', '/own', '/off', '/none'].map(async (path) => /user=(\w+)/.exec((await ask(port, path)).body)?.[1]),
    )
    expect(users).toEqual(['all', 'own', 'undefined', 'undefined'])
  })

  it('that is no TypeScript, or not there, is refused with the configuration', () => {
    const refusal = (source: Source) => {
      const [, { bytes }] = resources(source, 1)
      return () => checkResource('listener', bytes ?? new Uint8Array())
    }
    expect(refusal(inline('export default {'))).toThrow('Unexpected token')
    expect(refusal({ code: { specifier: { $case: 'filename', value: '/not/there.ts' } } })).toThrow('no such file')
    expect(refusal(inline(filter('onRequest() {}')))).not.toThrow()
  })
})
