import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import { afterEach, expect, it } from 'vitest'
import { any, cluster, connectionManager, listener, routeTo } from '../../../testing/resources.ts'
import { ask, Upstream, WorkerHarness } from '../../../testing/worker-harness.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const type = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
type Options = Parameters<(typeof HttpProtocolOptions)['fromPartial']>[0]

/** A cluster's settings for requests to it. */
function settings(options: Options) {
  return {
    typedExtensionProtocolOptions: {
      [type]: any(type, HttpProtocolOptions.encode(HttpProtocolOptions.fromPartial(options)).finish()),
    },
  }
}

async function origin(status: number): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = []
  const server = new Upstream((request, response) => {
    seen.push(request.url ?? '')
    response.statusCode = status
    response.end()
  })
  await server.listen()
  open.push(server)
  return { port: server.port, seen }
}

it("a cluster's retries and copies go before those of a route", async () => {
  const [main, copy, other] = [await origin(503), await origin(200), await origin(200)]
  const proxy = new WorkerHarness()
  open.push(proxy)
  const route = { retryPolicy: { retryOn: 'retriable-4xx' }, requestMirrorPolicies: [{ cluster: 'other' }] }
  const errors = await proxy.apply(
    cluster(
      'c',
      [main.port],
      settings({ retryPolicy: { retryOn: '5xx', numRetries: 2 }, requestMirrorPolicies: [{ cluster: 'copy' }] }),
    ),
    cluster('copy', [copy.port]),
    cluster('other', [other.port]),
    listener('in', [{ filters: [connectionManager([routeTo('c', '/', route)])] }]),
  )
  expect(errors).toEqual([])
  expect(await ask(proxy.port('in'), '/a')).toMatchObject({ status: 503 })
  expect(main.seen).toEqual(['/a', '/a', '/a'])
  await expect.poll(() => copy.seen).toEqual(['/a'])
  expect(other.seen).toEqual([])
})

it("a cluster's hash policy goes before that of a route", async () => {
  const hosts = [await origin(200), await origin(200), await origin(200), await origin(200)]
  const proxy = new WorkerHarness()
  open.push(proxy)
  const by = (queryParameter: string) => [
    { policySpecifier: { $case: 'queryParameter' as const, value: { name: queryParameter } } },
  ]
  const errors = await proxy.apply(
    cluster(
      'c',
      hosts.map(({ port }) => port),
      { lbPolicy: 2, ...settings({ hashPolicy: by('of-cluster') }) },
    ),
    listener('in', [{ filters: [connectionManager([routeTo('c', '/', { hashPolicy: by('of-route') })])] }]),
  )
  expect(errors).toEqual([])
  for (let i = 0; i < 20; i++) await ask(proxy.port('in'), `/?of-cluster=same&of-route=${i}`)
  expect(hosts.map(({ seen }) => seen.length).sort()).toEqual([0, 0, 0, 20])
})

it('refuses what a route would be refused for', async () => {
  const proxy = new WorkerHarness()
  open.push(proxy)
  const [error] = await proxy.apply(cluster('c', [1], settings({ requestMirrorPolicies: [{}] })))
  expect(error?.message).toContain('request_mirror_policies[0]')
})
