import { describe, expect, it } from 'vitest'
import { builtFor, nodeOf, targetOf } from '../../testing/built-for.ts'
import { objectsOf } from '../../testing/snapshot-of.ts'
import { type ConfigEntries, entryReaders } from './config-entries.ts'
import { chainedServices, chainOf } from './discovery-chain.ts'

const entriesOf = (of: { routers?: unknown[]; splitters?: unknown[]; resolvers?: unknown[] }): ConfigEntries => ({
  routers: entryReaders.routers.read(of.routers ?? []),
  splitters: entryReaders.splitters.read(of.splitters ?? []),
  resolvers: entryReaders.resolvers.read(of.resolvers ?? []),
  intentions: [],
})
const yamlOf = (objects: readonly object[]): string => objects.map((object) => JSON.stringify(object)).join('\n---\n')
const services = ['web', 'admin', 'old']
  .map((name) => `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { ports: [{ name: http, port: 80 }] }\n`)
  .join('---\n')

/** Where requests for `web` go, in the order of its routes. */
function routesOf(entries: ConfigEntries): string[] {
  const objects = chainedServices(entries).flatMap((name) => {
    const { objects, problems } = chainOf(name, entries)
    expect(problems).toEqual([])
    return objects
  })
  const built = builtFor(`${services}---\n${yamlOf(objects)}`, nodeOf('sidecar'))
  const host = built.routes.get('80')?.virtualHosts.find(({ name }) => name.startsWith('web.'))
  return (host?.routes ?? []).map(targetOf)
}
const outbound = (name: string, subset = ''): string => `outbound|80|${subset}|${name}.default.svc.cluster.local`

const subsets = {
  v1: { Filter: 'Service.Meta.version == v1' },
  v2: { Filter: '"version=v2" in Service.Tags and Service.Meta.env == "x_y"' },
}

describe("Consul's discovery chain", () => {
  it('a resolver is a DestinationRule: subsets by meta and tags, timeouts and load balancing', () => {
    const resolver = {
      ...{ Name: 'web', Subsets: subsets, ConnectTimeout: '3s', Failover: { '*': { Datacenters: ['dc2'] } } },
      LoadBalancer: {
        Policy: 'ring_hash',
        RingHashConfig: { MinimumRingSize: 64 },
        HashPolicies: [{ Field: 'cookie', FieldValue: 'who', CookieConfig: { TTL: '5s', Path: '/' } }, { SourceIP: true }],
      },
    }
    const { objects, problems } = chainOf('web', entriesOf({ resolvers: [resolver] }))
    expect(problems.map(({ message, isLoss }) => [message.split(' ')[0], isLoss])).toEqual([
      ['Failover', false],
      ['of', false],
    ])
    const rule = objectsOf(yamlOf(objects)).get('DestinationRule/default/consul-web')
    expect(rule?.spec).toMatchObject({
      host: 'web',
      subsets: [
        { name: 'v1', labels: { version: 'v1' } },
        { name: 'v2', labels: { version: 'v2', env: 'x_y' } },
      ],
      trafficPolicy: {
        connectionPool: { tcp: { connectTimeout: { seconds: 3 } } },
        loadBalancer: {
          lbPolicy: {
            $case: 'consistentHash',
            value: {
              hashKey: { $case: 'httpCookie', value: { name: 'who', path: '/' } },
              hashAlgorithm: { $case: 'ringHash', value: { minimumRingSize: 64 } },
            },
          },
        },
      },
    })
    expect(objects).toHaveLength(1)
  })

  it('a splitter shares requests out, and what it names is split and resolved in its turn', () => {
    const entries = entriesOf({
      splitters: [
        {
          Name: 'web',
          Splits: [
            { Weight: 33.34, ServiceSubset: 'v1' },
            { Weight: 66.66, Service: 'old' },
          ],
        },
        { Name: 'old', Splits: [{ Weight: 50 }, { Weight: 50, Service: 'admin' }] },
      ],
      resolvers: [
        { Name: 'web', Subsets: subsets },
        { Name: 'old', Redirect: { Service: 'web', ServiceSubset: 'v2' } },
      ],
    })
    expect(routesOf(entries)).toEqual([`${outbound('web', 'v1')}=3334 ${outbound('web', 'v2')}=3333 ${outbound('admin')}=3333`])
  })

  it('a router goes by path, header, query and method; what it does not name goes on to the default subset', () => {
    const http = {
      PathPrefix: '/a.b',
      Methods: ['GET', 'PUT'],
      Header: [
        { Name: 'X-A', Present: true },
        { Name: 'x-b', Suffix: '.end' },
        { Name: 'x-c', Exact: 'no', Invert: true },
      ],
      QueryParam: [{ Name: 'q', Present: true }],
    }
    const entries = entriesOf({
      routers: [
        {
          Name: 'web',
          Routes: [
            {
              Match: { HTTP: http },
              Destination: {
                ...{ Service: 'admin', PrefixRewrite: '/', RequestTimeout: '5s', NumRetries: 3 },
                ...{ RetryOnConnectFailure: true, RetryOnStatusCodes: [503], RequestHeaders: { Set: { 'x-by': 'router' } } },
              },
            },
            { Match: { HTTP: { PathExact: '/old' } }, Destination: { Service: 'old' } },
          ],
        },
      ],
      resolvers: [{ Name: 'web', DefaultSubset: 'v1', Subsets: subsets }],
    })
    expect(routesOf(entries)).toEqual([outbound('admin'), outbound('old'), outbound('web', 'v1')])
    const { objects } = chainOf('web', entries)
    const virtualService = objectsOf(yamlOf(objects)).get('VirtualService/default/consul-web')
    expect(virtualService?.document.value['spec']).toMatchObject({
      http: [
        {
          match: [
            {
              uri: { prefix: '/a.b' },
              method: { regex: 'GET|PUT' },
              headers: { 'x-a': {}, 'x-b': { regex: '.*\\.end' } },
              withoutHeaders: { 'x-c': { exact: 'no' } },
              queryParams: { q: { regex: '.*' } },
            },
          ],
          rewrite: { uri: '/' },
          timeout: '5s',
          retries: { attempts: 3, retryOn: 'connect-failure,503' },
          headers: { request: { set: { 'x-by': 'router' } } },
        },
        { match: [{ uri: { exact: '/old' } }] },
        { route: [{ destination: { host: 'web', subset: 'v1' } }] },
      ],
    })
  })

  it('what would send requests elsewhere than Consul does is a loss: other filters, other datacenters, circles', () => {
    const entries = entriesOf({
      splitters: [
        { Name: 'a', Splits: [{ Weight: 100, Service: 'b' }] },
        { Name: 'b', Splits: [{ Weight: 100, Service: 'a' }] },
      ],
      resolvers: [
        { Name: 'web', Subsets: { v1: { Filter: 'Node.Meta.zone == a' } } },
        { Name: 'far', Redirect: { Service: 'far', Datacenter: 'dc2' } },
      ],
    })
    for (const name of ['a', 'web', 'far']) {
      expect(chainOf(name, entries).problems, name).toEqual([expect.objectContaining({ isLoss: true })])
    }
  })
})
