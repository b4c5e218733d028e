import { Client, credentials, Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { AggregatedDiscoveryServiceService } from '@weft/contracts/envoy/service/discovery/v3/ads'
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  type DiscoveryRequest,
  DiscoveryResponse,
  Resource,
} from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { until } from '@weft/service/testing/until'
import { describe, expect, onTestFinished, test } from 'vitest'
import { typeUrls } from '../types.ts'
import { Backoff } from './backoff.ts'
import { XdsStream } from './stream.ts'
import type { ResourceHandler, ResourceResponse } from './subscription.ts'

interface Peer {
  port: number
  sotw: DiscoveryRequest[]
  delta: DeltaDiscoveryRequest[]
  send(response: Partial<DiscoveryResponse>): void
  sendDelta(response: Partial<DeltaDiscoveryResponse>): void
  stop(): void
}

/** A server that answers nothing by itself. */
async function peer(port = 0): Promise<Peer> {
  const server = new Server()
  let stream: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse> | undefined
  let deltaStream: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> | undefined
  const sotw: DiscoveryRequest[] = []
  const delta: DeltaDiscoveryRequest[] = []
  server.addService(AggregatedDiscoveryServiceService, {
    streamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) => {
      stream = call
      call.on('data', (request: DiscoveryRequest) => sotw.push(request))
      call.on('error', () => undefined)
      call.on('end', () => call.end())
    },
    deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>) => {
      deltaStream = call
      call.on('data', (request: DeltaDiscoveryRequest) => delta.push(request))
      call.on('error', () => undefined)
      call.on('end', () => call.end())
    },
  })
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  )
  onTestFinished(() => server.forceShutdown())
  return {
    port: bound,
    sotw,
    delta,
    send: (response) => void stream?.write(DiscoveryResponse.fromPartial(response)),
    sendDelta: (response) => void deltaStream?.write(DeltaDiscoveryResponse.fromPartial(response)),
    stop: () => server.forceShutdown(),
  }
}

function clientOf(port: number, variant: 'sotw' | 'delta', log: string[] = []): XdsStream {
  const stream = new XdsStream({
    variant,
    service: 'aggregated',
    node: Node.fromPartial({ id: 'n' }),
    nodeOnFirstOnly: true,
    connect: async () => ({
      client: new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.initial_reconnect_backoff_ms': 50 }),
      metadata: new Metadata(),
    }),
    log: (level, message) => log.push(`${level} ${message}`),
    backoff: new Backoff(20, 50),
  })
  onTestFinished(() => stream.close())
  return stream
}

const any = (name: string): { typeUrl: string; value: Buffer } => ({
  typeUrl: typeUrls.cluster,
  value: Buffer.from(Cluster.encode(Cluster.fromPartial({ name })).finish()),
})

/** Remembers responses, and refuses those that hold a cluster named `bad`. */
function keeper(): ResourceHandler & { seen: ResourceResponse[]; lost: string[] } {
  const seen: ResourceResponse[] = []
  const lost: string[] = []
  return {
    seen,
    lost,
    receive: async (response) => {
      seen.push(response)
      return response.resources.some(({ name }) => name === 'bad') ? ['cluster bad: no good'] : []
    },
    disconnected: (reason) => void lost.push(reason),
  }
}

describe('a stream, state of the world', () => {
  test('asks with its node, acknowledges with version and nonce, and refuses with the version before', async () => {
    const server = await peer()
    const handler = keeper()
    clientOf(server.port, 'sotw').subscribe(typeUrls.cluster, 'all', handler)
    await until(() => server.sotw.length === 1, 'the first request')
    expect(server.sotw[0]).toMatchObject({
      typeUrl: typeUrls.cluster,
      versionInfo: '',
      responseNonce: '',
      resourceNames: [],
      node: { id: 'n' },
    })
    server.send({ typeUrl: typeUrls.cluster, versionInfo: '1', nonce: 'a', resources: [any('one')] })
    await until(() => server.sotw.length === 2, 'the acknowledgement')
    expect(server.sotw[1]).toMatchObject({ versionInfo: '1', responseNonce: 'a', errorDetail: undefined, node: undefined })
    server.send({ typeUrl: typeUrls.cluster, versionInfo: '2', nonce: 'b', resources: [any('bad')] })
    await until(() => server.sotw.length === 3, 'the refusal')
    expect(server.sotw[2]).toMatchObject({
      versionInfo: '1',
      responseNonce: 'b',
      errorDetail: { code: 13, message: 'cluster bad: no good' },
    })
    expect(handler.seen[0]).toMatchObject({ version: '1', whole: true, resources: [{ name: 'one', version: '1' }] })
  })

  test('asks again when names change, and not when they stay', async () => {
    const server = await peer()
    const subscription = clientOf(server.port, 'sotw').subscribe(typeUrls.endpoint, ['a'], keeper())
    await until(() => server.sotw.length === 1, 'the first request')
    subscription.setNames(['a'])
    subscription.setNames(['a', 'b'])
    await until(() => server.sotw.length === 2, 'the second request')
    expect(server.sotw[1]?.resourceNames).toEqual(['a', 'b'])
  })

  test('answers what nobody asks for any more by the version before, and nothing where there is nothing in it', async () => {
    const server = await peer()
    const handler = keeper()
    const subscription = clientOf(server.port, 'sotw').subscribe(typeUrls.cluster, ['one'], handler)
    await until(() => server.sotw.length === 1, 'the first request')
    server.send({ typeUrl: typeUrls.cluster, versionInfo: '1', nonce: 'a', resources: [any('one')] })
    await until(() => server.sotw.length === 2, 'the acknowledgement')
    subscription.setNames([])
    await until(() => server.sotw.length === 3, 'the request for none')
    server.send({ typeUrl: typeUrls.cluster, versionInfo: '2', nonce: 'b', resources: [] })
    server.send({ typeUrl: typeUrls.cluster, versionInfo: '3', nonce: 'c', resources: [any('one')] })
    await until(() => server.sotw.length === 4, 'the answer')
    expect(server.sotw[3]).toMatchObject({ versionInfo: '1', responseNonce: 'c', resourceNames: [], errorDetail: undefined })
    expect(handler.seen).toHaveLength(1)
  })

  test('unwraps resources, and refuses those of another type and what is no message', async () => {
    const server = await peer()
    const handler = keeper()
    clientOf(server.port, 'sotw').subscribe(typeUrls.cluster, 'all', handler)
    await until(() => server.sotw.length === 1, 'the first request')
    const wrapped = Resource.encode(Resource.fromPartial({ name: 'one', version: '7', resource: any('one') })).finish()
    server.send({
      typeUrl: typeUrls.cluster,
      versionInfo: '1',
      nonce: 'a',
      resources: [{ typeUrl: 'type.googleapis.com/envoy.service.discovery.v3.Resource', value: Buffer.from(wrapped) }],
    })
    await until(() => server.sotw.length === 2, 'the acknowledgement')
    expect(handler.seen[0]?.resources[0]).toMatchObject({ name: 'one', version: '7' })
    server.send({
      typeUrl: typeUrls.cluster,
      versionInfo: '2',
      nonce: 'b',
      resources: [{ typeUrl: typeUrls.listener, value: Buffer.alloc(0) }],
    })
    server.send({
      typeUrl: typeUrls.cluster,
      versionInfo: '3',
      nonce: 'c',
      resources: [{ typeUrl: typeUrls.cluster, value: Buffer.from([0xff]) }],
    })
    await until(() => server.sotw.filter(({ errorDetail }) => errorDetail !== undefined).length === 2, 'both refusals')
    expect(server.sotw[2]?.errorDetail?.message).toContain(`holds a resource of type ${typeUrls.listener}`)
    expect(handler.seen).toHaveLength(1)
  })

  test('comes back after a loss and tells the version it has', async () => {
    const server = await peer()
    const handler = keeper()
    const stream = clientOf(server.port, 'sotw')
    stream.subscribe(typeUrls.cluster, 'all', handler)
    await until(() => server.sotw.length === 1, 'the first request')
    server.send({ typeUrl: typeUrls.cluster, versionInfo: '1', nonce: 'a', resources: [any('one')] })
    await until(() => server.sotw.length === 2, 'the acknowledgement')
    server.stop()
    await until(() => handler.lost.length > 0, 'the loss')
    const next = await peer(server.port)
    await until(() => next.sotw.length === 1, 'it is back')
    expect(next.sotw[0]).toMatchObject({ versionInfo: '1', responseNonce: '', node: { id: 'n' } })
  })
})

describe('a stream, incremental', () => {
  test('subscribes and unsubscribes by name, acknowledges by nonce, and takes removals', async () => {
    const server = await peer()
    const handler = keeper()
    const subscription = clientOf(server.port, 'delta').subscribe(typeUrls.cluster, ['one', 'two'], handler)
    await until(() => server.delta.length === 1, 'the first request')
    expect(server.delta[0]).toMatchObject({ resourceNamesSubscribe: ['one', 'two'], node: { id: 'n' } })
    server.sendDelta({
      typeUrl: typeUrls.cluster,
      nonce: 'a',
      resources: [Resource.fromPartial({ name: 'one', version: '5', resource: any('one') })],
      removedResources: ['two'],
    })
    await until(() => server.delta.length === 2, 'the acknowledgement')
    expect(server.delta[1]).toMatchObject({ responseNonce: 'a', errorDetail: undefined })
    expect(handler.seen[0]).toMatchObject({ removed: ['two'], whole: false, resources: [{ name: 'one', version: '5' }] })
    subscription.setNames(['one', 'three'])
    await until(() => server.delta.length === 3, 'the change')
    expect(server.delta[2]).toMatchObject({ resourceNamesSubscribe: ['three'], resourceNamesUnsubscribe: ['two'] })
  })

  test('refuses a response in which a name comes twice', async () => {
    const server = await peer()
    const handler = keeper()
    clientOf(server.port, 'delta').subscribe(typeUrls.cluster, ['one'], handler)
    await until(() => server.delta.length === 1, 'the first request')
    const twice = ['5', '6'].map((version) => Resource.fromPartial({ name: 'one', version, resource: any('one') }))
    server.sendDelta({ typeUrl: typeUrls.cluster, nonce: 'a', resources: twice })
    await until(() => server.delta.length === 2, 'the refusal')
    expect(server.delta[1]?.errorDetail?.message).toContain('one comes twice')
    expect(handler.seen).toEqual([])
  })

  test.each([
    ['all', { one: 'v-one', two: 'v-two' }],
    [['one'], { one: 'v-one' }],
  ] as const)(
    'tells on reconnect which versions it holds of what it asks for, so that only changes come (%j)',
    async (names, held) => {
      const server = await peer()
      const handler = keeper()
      clientOf(server.port, 'delta').subscribe(typeUrls.cluster, names, handler)
      await until(() => server.delta.length === 1, 'the first request')
      expect(server.delta[0]?.resourceNamesSubscribe).toEqual(names === 'all' ? [] : names)
      server.sendDelta({
        typeUrl: typeUrls.cluster,
        nonce: 'a',
        resources: ['one', 'two'].map((name) => Resource.fromPartial({ name, version: `v-${name}`, resource: any(name) })),
      })
      await until(() => server.delta.length === 2, 'the acknowledgement')
      server.stop()
      await until(() => handler.lost.length > 0, 'the loss')
      const next = await peer(server.port)
      await until(() => next.delta.length === 1, 'it is back')
      expect(next.delta[0]?.initialResourceVersions).toEqual(held)
    },
  )
})

describe('back-off', () => {
  test('doubles to its bound, with each wait drawn from its upper half, and starts anew after a success', () => {
    const backoff = new Backoff(100, 1_000, () => 0)
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([50, 100, 200, 400, 500, 500])
    backoff.reset()
    expect(backoff.next()).toBe(50)
  })
})
