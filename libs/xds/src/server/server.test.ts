import { Client, type ClientDuplexStream, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import { Node } from '@weft/contracts/envoy/config/core/v3/base'
import {
  AggregatedDiscoveryServiceClient as AdsClient,
  type AggregatedDiscoveryServiceClient,
} from '@weft/contracts/envoy/service/discovery/v3/ads'
import type { DeltaDiscoveryResponse, DiscoveryResponse } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { DeltaDiscoveryRequest, DiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { until } from '@weft/service/testing/until'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createResource, type Resource } from '../cache/resource.ts'
import { ResourceSet } from '../cache/resource-set.ts'
import type { Snapshot } from '../cache/snapshot.ts'
import { XdsStream } from '../client/stream.ts'
import { typeUrls } from '../types.ts'
import { createXdsService, type XdsClient, type XdsService } from './server.ts'

const { cluster, endpoint, listener, route } = typeUrls

let server: Server
let service: XdsService
let port: number
let client: AggregatedDiscoveryServiceClient
let connected: XdsClient[]
let current: Snapshot
let log: string[]

beforeEach(async () => {
  connected = []
  const events: string[] = []
  log = events
  current = snapshot({ [cluster]: [res(cluster, 'a'), res(cluster, 'b')], [endpoint]: [res(endpoint, 'a'), res(endpoint, 'b')] })
  service = createXdsService({
    maxStreams: 3,
    connect: (xds) => {
      connected.push(xds)
      xds.stream.update(current)
      return {
        refused: (_type, _nonce, refusal) => void events.push(`refused ${refusal.message}`),
        accepted: (_type, nonce) => void events.push(`accepted ${nonce}`),
        closed: () => void events.push('closed'),
        health: (problem) => void events.push(`health ${problem ?? 'good'}`),
      }
    },
  })
  server = new Server()
  server.addService(service.definition, service.implementation)
  port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  client = new AdsClient(`127.0.0.1:${port}`, credentials.createInsecure())
})

afterEach(() => {
  service.close()
  client.close()
  server.forceShutdown()
})

function res(typeUrl: string, name: string, content = '1'): Resource {
  return createResource(typeUrl, name, Buffer.from(content), typeUrl === cluster ? [name] : [])
}

function snapshot(byType: Record<string, Resource[]>): Snapshot {
  return new Map(Object.entries(byType).map(([type, resources]) => [type, ResourceSet.of(resources)]))
}

/** Responses of a stream, one at a time; `none` holds when a marker request of the same stream is answered first. */
class Inbox<Response> {
  readonly #waiting: ((response: Response) => void)[] = []
  readonly #arrived: Response[] = []
  ended: Promise<string>

  constructor(call: ClientDuplexStream<never, Response>) {
    call.on('data', (response: Response) => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#arrived.push(response)
      else next(response)
    })
    this.ended = new Promise((resolve) => call.on('error', (error) => resolve(error.message)))
  }

  next(): Promise<Response> {
    const response = this.#arrived.shift()
    if (response !== undefined) return Promise.resolve(response)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

function sotwStream() {
  const call = client.streamAggregatedResources()
  const inbox = new Inbox<DiscoveryResponse>(call as never)
  let first = true
  const ask = (typeUrl: string, fields: Partial<DiscoveryRequest> = {}): void => {
    const node = first ? { id: 'sidecar~127.0.0.1~a.default~default.svc.cluster.local' } : undefined
    first = false
    call.write(DiscoveryRequest.fromPartial({ typeUrl, node, ...fields }))
  }
  const ack = (response: DiscoveryResponse, resourceNames: string[] = []): void =>
    ask(response.typeUrl, { versionInfo: response.versionInfo, responseNonce: response.nonce, resourceNames })
  return { call, inbox, ask, ack, next: () => inbox.next() }
}

function deltaStream() {
  const call = client.deltaAggregatedResources()
  const inbox = new Inbox<DeltaDiscoveryResponse>(call as never)
  let first = true
  const ask = (typeUrl: string, fields: Partial<DeltaDiscoveryRequest> = {}): void => {
    const node = first ? { id: 'router~127.0.0.1~a.default~default.svc.cluster.local' } : undefined
    first = false
    call.write(DeltaDiscoveryRequest.fromPartial({ typeUrl, node, ...fields }))
  }
  const ack = (response: DeltaDiscoveryResponse): void => ask(response.typeUrl, { responseNonce: response.nonce })
  return { call, inbox, ask, ack, next: () => inbox.next() }
}

const contents = (response: DiscoveryResponse): string[] =>
  response.resources.map((any) => `${any.typeUrl === response.typeUrl ? '' : 'wrong type '}${Buffer.from(any.value).toString()}`)
const names = (response: DeltaDiscoveryResponse): string[] =>
  response.resources.map((resource) => `${resource.name}=${Buffer.from(resource.resource?.value ?? []).toString()}`)

test('an empty list of names is a wildcard for clusters and nothing for endpoints', async () => {
  const stream = sotwStream()
  stream.ask(endpoint)
  stream.ask(cluster)
  const response = await stream.next()
  expect(response.typeUrl).toBe(cluster)
  expect(contents(response)).toEqual(['1', '1'])
})

test('after names were given, an empty list ends the subscription instead of meaning all', async () => {
  const stream = sotwStream()
  stream.ask(cluster, { resourceNames: ['a'] })
  const response = await stream.next()
  expect(response.resources).toHaveLength(1)
  stream.ack(response)
  await until(() => log.includes('accepted 1'), 'the acknowledgement')
  connected[0]?.stream.update(snapshot({ [cluster]: [res(cluster, 'a', '2'), res(cluster, 'c')] }))
  stream.ask(listener)
  expect((await stream.next()).typeUrl).toBe(listener)
})

test('a name that is added is answered alone, and one that was dropped is answered when it is asked for again', async () => {
  const stream = sotwStream()
  stream.ask(endpoint, { resourceNames: ['a'] })
  const one = await stream.next()
  expect(one.resources).toHaveLength(1)
  stream.ack(one, ['a', 'b'])
  const two = await stream.next()
  expect(two.resources).toHaveLength(1)
  stream.ack(two, ['a'])
  stream.ask(endpoint, { resourceNames: ['a', 'b'], responseNonce: two.nonce })
  const three = await stream.next()
  expect(three.resources).toHaveLength(1)
})

test('a stale nonce is neither an answer nor a change', async () => {
  const stream = sotwStream()
  stream.ask(endpoint, { resourceNames: ['a'] })
  const first = await stream.next()
  stream.ask(endpoint, { resourceNames: ['a', 'b'], responseNonce: 'from before' })
  stream.ask(typeUrls.extension, { resourceNames: ['*'] })
  expect((await stream.next()).typeUrl).toBe(typeUrls.extension)
  expect(log).toEqual([])
  stream.ack(first, ['a', 'b'])
  expect((await stream.next()).resources).toHaveLength(1)
  expect(log).toEqual(['accepted 1'])
})

test("a refusal is kept with the client's words, and the next change is sent", async () => {
  const stream = sotwStream()
  stream.ask(cluster)
  const bad = await stream.next()
  stream.ask(cluster, { responseNonce: bad.nonce, errorDetail: { code: 3, message: 'cluster a: no', details: [] } })
  await until(() => log.includes('refused cluster a: no'), 'the refusal')
  expect(connected[0]?.stream.status()).toMatchObject([{ state: 'ERROR', refused: { message: 'cluster a: no' } }])
  connected[0]?.stream.update(snapshot({ [cluster]: [res(cluster, 'a', '2')] }))
  const good = await stream.next()
  expect(contents(good)).toEqual(['2'])
  stream.ack(good)
  await until(() => connected[0]?.stream.status()[0]?.state === 'SYNCED', 'the acknowledgement')
})

test('a client that is slow to answer gets the newest state, not the ones between', async () => {
  const stream = sotwStream()
  stream.ask(cluster)
  const first = await stream.next()
  for (let version = 2; version <= 50; version++) {
    connected[0]?.stream.update(snapshot({ [cluster]: [res(cluster, 'a', String(version))] }))
    await new Promise((resolve) => setImmediate(resolve))
  }
  stream.ack(first)
  expect(contents(await stream.next())).toEqual(['50'])
})

test('clusters and endpoints are accepted before routes are told, and removed clusters go last', async () => {
  current = snapshot({
    [cluster]: [res(cluster, 'old')],
    [endpoint]: [res(endpoint, 'old')],
    [route]: [res(route, 'r', 'to old')],
  })
  const stream = sotwStream()
  const wanted: Record<string, string[]> = { [endpoint]: ['old', 'new'], [route]: ['r'] }
  stream.ask(cluster)
  const first = await stream.next()
  stream.ask(endpoint, { resourceNames: ['old', 'new'] })
  stream.ack(first)
  stream.ack(await stream.next(), wanted[endpoint])
  stream.ask(route, { resourceNames: ['r'] })
  stream.ack(await stream.next(), wanted[route])
  await until(() => log.length === 3, 'three events')

  connected[0]?.stream.update(
    snapshot({ [cluster]: [res(cluster, 'new')], [endpoint]: [res(endpoint, 'new')], [route]: [res(route, 'r', 'to new')] }),
  )
  const steps: string[] = []
  for (let step = 0; step < 4; step++) {
    const response = await stream.next()
    steps.push(`${response.typeUrl.split('.').at(-1)} ${response.resources.length}`)
    stream.ack(response, wanted[response.typeUrl])
  }
  expect(steps).toEqual(['Cluster 2', 'ClusterLoadAssignment 1', 'RouteConfiguration 1', 'Cluster 1'])
})

test('the load assignment of a cluster that changed is sent again', async () => {
  const stream = sotwStream()
  stream.ask(cluster)
  stream.ack(await stream.next())
  stream.ask(endpoint, { resourceNames: ['a', 'b'] })
  stream.ack(await stream.next(), ['a', 'b'])
  connected[0]?.stream.update(new Map([...current, [cluster, ResourceSet.of([res(cluster, 'a', '2'), res(cluster, 'b')])]]))
  expect((await stream.next()).typeUrl).toBe(cluster)
  const again = await stream.next()
  expect([again.typeUrl, again.resources.length]).toEqual([endpoint, 1])
})

test('a reconnecting client that holds the current version of a wildcard is not sent it again', async () => {
  const stream = sotwStream()
  stream.ask(cluster)
  const { versionInfo } = await stream.next()
  stream.call.end()
  await until(() => log.includes('closed'), 'the end of the stream')
  const again = sotwStream()
  again.ask(cluster, { versionInfo, responseNonce: '1' })
  again.ask(listener)
  expect((await again.next()).typeUrl).toBe(listener)
})

test.each(['sotw', 'delta'] as const)('%s: how a client says it is, is told to the owner', async (variant) => {
  const stream = new XdsStream({
    ...{ variant, service: 'aggregated', node: Node.create({ id: 'a' }), log: () => undefined },
    connect: async () => ({ client: new Client(`127.0.0.1:${port}`, credentials.createInsecure()), metadata: new Metadata() }),
  })
  stream.subscribe(cluster, 'all', { receive: async () => [] })
  await until(() => log.some((event) => /^(accepted|refused)/.test(event)), 'an answer')
  stream.reportHealth('it stops')
  stream.reportHealth(undefined)
  await until(
    () => log.filter((event) => event.startsWith('health')).join() === 'health it stops,health good',
    'both states of health',
  )
  stream.close()
})

test('delta: what changed is sent, what is gone is named, what does not exist is said', async () => {
  const stream = deltaStream()
  stream.ask(endpoint, { resourceNamesSubscribe: ['a', 'b', 'nowhere'] })
  const first = await stream.next()
  expect(names(first)).toEqual(['a=1', 'b=1'])
  expect(first.removedResources).toEqual(['nowhere'])
  stream.ack(first)
  await until(() => log.length === 1, 'one event')
  connected[0]?.stream.update(snapshot({ [endpoint]: [res(endpoint, 'a', '2'), res(endpoint, 'unasked')] }))
  const second = await stream.next()
  expect([names(second), second.removedResources]).toEqual([['a=2'], ['b']])
})

test('delta: a reconnecting client gets only what differs from the versions it holds', async () => {
  const stream = deltaStream()
  const held = { a: res(cluster, 'a').version, b: 'an older one', gone: 'x' }
  stream.ask(cluster, { initialResourceVersions: held })
  const response = await stream.next()
  expect([names(response), response.removedResources]).toEqual([['b=1'], ['gone']])
})

test('delta: a name that is subscribed again is answered again, and a wildcard can be left', async () => {
  const stream = deltaStream()
  stream.ask(cluster, { resourceNamesSubscribe: ['*'] })
  const all = await stream.next()
  expect(names(all)).toEqual(['a=1', 'b=1'])
  stream.ask(cluster, { responseNonce: all.nonce, resourceNamesSubscribe: ['a'] })
  const again = await stream.next()
  expect(names(again)).toEqual(['a=1'])
  stream.ask(cluster, { responseNonce: again.nonce, resourceNamesUnsubscribe: ['*'] })
  await until(() => log.length === 2, 'two events')
  connected[0]?.stream.update(snapshot({ [cluster]: [res(cluster, 'a', '2'), res(cluster, 'b', '2')] }))
  expect(names(await stream.next())).toEqual(['a=2'])
})

test('delta: a wildcard with nothing in it is answered, so that a client can go on', async () => {
  const stream = deltaStream()
  stream.ask(listener)
  const response = await stream.next()
  expect([response.typeUrl, response.resources, response.removedResources]).toEqual([listener, [], []])
})

test('a stream without a node, a request without a type and too many streams are refused by name', async () => {
  const anonymous = client.streamAggregatedResources()
  const inbox = new Inbox<DiscoveryResponse>(anonymous as never)
  anonymous.write(DiscoveryRequest.fromPartial({ typeUrl: cluster }))
  expect(await inbox.ended).toMatch(/INVALID_ARGUMENT.*no node id/)

  const typeless = sotwStream()
  typeless.ask('')
  expect(await typeless.inbox.ended).toMatch(/without type_url/)

  await until(() => service.size() === 0, 'no stream')
  const open = [sotwStream(), sotwStream(), sotwStream()]
  for (const stream of open) stream.ask(cluster)
  await until(() => service.size() === 3, 'three streams')
  const fourth = sotwStream()
  fourth.ask(cluster)
  expect(await fourth.inbox.ended).toMatch(/RESOURCE_EXHAUSTED/)
})

test('a subscription of a hostile size is refused, and types that are not served are ignored', async () => {
  const stream = sotwStream()
  stream.ask('type.googleapis.com/unknown.Type')
  stream.ask(cluster)
  expect((await stream.next()).typeUrl).toBe(cluster)
  stream.ask(endpoint, { resourceNames: Array.from({ length: 50_001 }, (_, index) => `n${index}`) })
  expect(await stream.inbox.ended).toMatch(/50001 resource names/)
})

test('a client that never answers is told a newer state after a while, and once only', async () => {
  const stream = sotwStream()
  stream.ask(cluster)
  await stream.next()
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  try {
    connected[0]?.stream.update(snapshot({ [cluster]: [res(cluster, 'a', '2')] }))
    connected[0]?.stream.update(snapshot({ [cluster]: [res(cluster, 'a', '3')] }))
    await new Promise((resolve) => setImmediate(resolve))
    expect(connected[0]?.stream.status()[0]?.state).toBe('STALE')
    vi.advanceTimersByTime(5_100)
    expect(contents(await stream.next())).toEqual(['3'])
  } finally {
    vi.useRealTimers()
  }
})
