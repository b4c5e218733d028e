import { until } from '@weft/service/testing/until'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readSettings } from '../bootstrap/settings.ts'
import { type ProxyFlags, parseFlags } from '../flags.ts'
import { ProxyLog } from '../log.ts'
import { Control } from './control.ts'
import { DiscoveryServer } from './testing/discovery-server.ts'
import { RecordingWorker } from './testing/recording-worker.ts'
import { adsBootstrap, assignment, bootstrap, edsCluster, rdsListener, resource, routeTo } from './testing/resources.ts'

function flagsOf(...argv: string[]): ProxyFlags {
  const flags = parseFlags(['--concurrency', '1', '-l', 'off', ...argv], 'test')
  if ('print' in flags) throw new Error('flags that print')
  return flags
}

function controlOf(yaml: string, worker = new RecordingWorker()): { control: Control; worker: RecordingWorker } {
  const flags = flagsOf()
  const control = new Control({
    settings: readSettings(bootstrap(yaml), flags),
    flags,
    log: new ProxyLog({ level: 'off' }),
    workerFactory: () => worker,
  })
  onTestFinished(() => control.stop(0))
  return { control, worker }
}

async function server(): Promise<DiscoveryServer> {
  const discovery = new DiscoveryServer()
  await discovery.start()
  onTestFinished(() => discovery.stop())
  return discovery
}

/** A mesh of one listener, route, cluster and endpoint. */
function serveAll(discovery: DiscoveryServer, version: string): void {
  discovery.serve('cluster', version, [resource('cluster', edsCluster('a'))])
  discovery.serve('endpoints', version, [resource('endpoints', assignment('a', 8080))])
  discovery.serve('listener', version, [resource('listener', rdsListener('in', 15001, 'r'))])
  discovery.serve('route', version, [resource('route', routeTo('r', 'a'))])
}

describe('a proxy driven over ADS', () => {
  test('takes clusters, endpoints, routes and listeners, each after what it needs, and acknowledges every one', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    expect(worker.order).toEqual(['cluster/xds', 'endpoints/xds', 'cluster/a', 'endpoints/a', 'route/r', 'listener/in'])
    expect(control.state).toBe('LIVE')
    for (const kind of ['cluster', 'endpoints', 'listener', 'route'] as const) {
      await until(() => discovery.last(kind)?.versionInfo === '1', `${kind} acknowledged`)
      expect(discovery.nack(kind)).toBeUndefined()
    }
    expect(discovery.last('endpoints')?.resourceNames).toEqual(['a'])
    expect(discovery.last('route')?.resourceNames).toEqual(['r'])
    const node = discovery.requests[0]?.node
    expect([node?.id, node?.cluster, node?.userAgentName]).toEqual(['node-1', 'test', 'weft-proxy'])
  })

  test('refuses one bad resource by name and path while the good ones go live, and keeps the last good of its name', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    const before = worker.live.get('cluster/a')?.bytes
    discovery.serve('cluster', '2', [
      resource('cluster', edsCluster('a', 'lrs_server: {self: {}}')),
      resource(
        'cluster',
        `{name: b, type: STATIC, connect_timeout: 1s, load_assignment: ${assignment('b', 9090).replace('127.0.0.1', 'no.address')}}`,
      ),
      resource('cluster', `{name: c, type: STATIC, connect_timeout: 1s, load_assignment: ${assignment('c', 9090)}}`),
    ])
    await until(() => discovery.nack('cluster') !== undefined, 'the refusal')
    const nack = discovery.nack('cluster') ?? ''
    expect(nack).toContain('cluster a: lrs_server: not supported by this proxy')
    expect(nack).toContain('cluster b: ')
    expect(discovery.last('cluster')?.versionInfo).toBe('1')
    await until(() => worker.live.has('cluster/c'), 'the good one is live')
    expect(worker.live.get('cluster/a')?.bytes).toBe(before)
    expect(worker.live.has('cluster/b')).toBe(false)
    expect([...(control.cds?.refused.keys() ?? [])]).toEqual(['a', 'b'])
    discovery.serve('cluster', '3', [resource('cluster', edsCluster('a'))])
    await until(() => discovery.last('cluster')?.versionInfo === '3', 'the good version')
    await until(() => !worker.live.has('cluster/c'), 'what is gone is gone')
    expect(control.cds?.refused.size).toBe(0)
    // What is as it was keeps its version.
    expect(control.clusters.active().find(({ name }) => name === 'a')?.version).toBe('1')
  })

  test('takes nothing of an answer with a resource that breaks the API itself', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    discovery.serve('cluster', '2', [
      resource('cluster', edsCluster('a')),
      resource('cluster', '{name: b, type: STATIC, connect_timeout: 0s}'),
      resource('cluster', `{name: c, type: STATIC, connect_timeout: 1s, load_assignment: ${assignment('c', 9090)}}`),
    ])
    await until(() => discovery.nack('cluster') !== undefined, 'the refusal')
    expect(discovery.nack('cluster')).toContain('cluster b: connect_timeout: must be greater than 0s')
    expect(discovery.last('cluster')?.versionInfo).toBe('1')
    expect(worker.live.has('cluster/c')).toBe(false)
    expect([...(control.cds?.refused.keys() ?? [])]).toEqual([])
    discovery.serve('cluster', '3', [
      resource('cluster', edsCluster('a')),
      resource('cluster', `{name: c, type: STATIC, connect_timeout: 1s, load_assignment: ${assignment('c', 9090)}}`),
    ])
    await until(() => worker.live.has('cluster/c'), 'the good answer is taken')
    expect(control.cds?.refused.size).toBe(0)
  })

  test('tells the control plane of a listener that cannot be opened, and leaves the one before it in force', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const worker = new RecordingWorker()
    const { control } = controlOf(adsBootstrap(discovery.port), worker)
    await control.start()
    worker.refuse.set('listener/two', "cannot bind '127.0.0.1:15002': address in use")
    discovery.serve('listener', '2', [
      resource('listener', rdsListener('in', 15001, 'r')),
      resource('listener', rdsListener('two', 15002, 'r')),
    ])
    await until(() => discovery.nack('listener') !== undefined, 'the refusal')
    expect(discovery.nack('listener')).toContain("error adding listener 'two': cannot bind '127.0.0.1:15002': address in use")
    expect(worker.live.has('listener/in')).toBe(true)
  })

  test('replaces a cluster only when the endpoints of the new one are known', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    discovery.serve('cluster', '2', [resource('cluster', edsCluster('a')), resource('cluster', edsCluster('late'))])
    await until(() => control.clusters.warming().some(({ name }) => name === 'late'), 'it warms')
    expect(worker.live.has('cluster/late')).toBe(false)
    discovery.serve('endpoints', '2', [
      resource('endpoints', assignment('a', 8080)),
      resource('endpoints', assignment('late', 7070)),
    ])
    await until(() => worker.live.has('cluster/late'), 'it is live')
    expect(worker.live.get('endpoints/late')?.slots).toEqual({ '127.0.0.1:7070': expect.any(Number) })
  })

  test('drops the stats of a cluster that goes, and keeps those of one that is replaced', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const watched = (extra: string): string => edsCluster('b', `outlier_detection: {interval: 60s}\n${extra}`)
    discovery.serve('cluster', '1', [resource('cluster', edsCluster('a')), resource('cluster', watched(''))])
    discovery.serve('endpoints', '1', [
      resource('endpoints', assignment('a', 8080)),
      resource('endpoints', assignment('b', 8081)),
    ])
    const { control } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    const statsOfB = (): string[] =>
      [...control.reader.all()].map(({ name }) => name).filter((name) => name.startsWith('cluster.b.'))
    await until(() => statsOfB().includes('cluster.b.outlier_detection.ejections_total'), 'both kinds are there')
    const updates = control.reader.value('cluster.b.update_success') ?? 0
    expect(updates).toBeGreaterThan(0)
    control.stats.counter('cluster.b.outlier_detection.ejections_total').add(7)
    discovery.serve('cluster', '2', [resource('cluster', edsCluster('a')), resource('cluster', watched('lb_policy: RANDOM'))])
    await until(() => control.clusters.active().some(({ name, version }) => name === 'b' && version === '2'), 'it is replaced')
    expect(control.reader.value('cluster.b.update_success')).toBeGreaterThanOrEqual(updates)
    expect(control.reader.value('cluster.b.outlier_detection.ejections_total')).toBe(7)
    discovery.serve('cluster', '3', [resource('cluster', edsCluster('a'))])
    await until(() => !control.clusters.has('b'), 'it is gone')
    await until(() => statsOfB().length === 0, 'its stats are too')
    expect(control.reader.value('cluster.a.update_success')).toBeGreaterThan(0)
  })

  test('keeps everything when the control plane dies, and resumes with the versions it has when it is back', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    const { port } = discovery
    discovery.stop()
    await until(() => control.reader.value('control_plane.connected_state') === 0, 'it noticed')
    expect(worker.live.has('listener/in')).toBe(true)
    const next = new DiscoveryServer()
    serveAll(next, '2')
    onTestFinished(() => next.stop())
    await next.start(port)
    await until(() => next.last('cluster') !== undefined, 'it reconnected')
    expect(next.requests.find(({ typeUrl }) => typeUrl.endsWith('.Cluster'))?.versionInfo).toBe('1')
    await until(() => next.last('route')?.versionInfo === '2', 'the new version')
    expect(control.state).toBe('LIVE')
  })

  test('opens a listener without its routes when they do not come within the initial fetch timeout', async () => {
    const discovery = await server()
    discovery.serve('cluster', '1', [])
    discovery.serve('listener', '1', [
      resource('listener', rdsListener('in', 15001, 'nowhere').replace('{ads: {}', '{ads: {}, initial_fetch_timeout: 0.1s')),
    ])
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    expect(worker.live.has('listener/in')).toBe(true)
    expect(worker.live.has('route/nowhere')).toBe(false)
    // The subscription, and that it ended without an answer.
    expect(control.reader.value('http.in.rds.nowhere.update_attempt')).toBe(2)
    expect(control.reader.value('http.in.rds.nowhere.init_fetch_timeout')).toBe(1)
  })

  test('waits no longer for a route whose first answer it refuses', async () => {
    const discovery = await server()
    discovery.serve('cluster', '1', [])
    discovery.serve('listener', '1', [
      resource('listener', rdsListener('in', 15001, 'bad').replace('{ads: {}', '{ads: {}, initial_fetch_timeout: 0s')),
    ])
    discovery.serve('route', '1', [resource('route', 'name: bad\nvirtual_hosts: [{name: v}]')])
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    expect(worker.live.has('listener/in')).toBe(true)
    expect(control.reader.value('http.in.rds.bad.update_rejected')).toBe(1)
  })
})

describe('what drains', () => {
  test('keeps its routes until its connections have had their time', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const { control, worker } = controlOf(adsBootstrap(discovery.port))
    await control.start()
    discovery.serve('listener', '2', [])
    await until(() => !worker.live.has('listener/in'), 'it is gone')
    expect(control.listeners.draining()).toMatchObject([{ name: 'in' }])
    expect(worker.live.has('route/r')).toBe(true)
    expect(discovery.last('route')?.resourceNames).toEqual(['r'])
  })
})

describe('workers', () => {
  test('a worker that dies is replaced and given the whole configuration in the order it was made', async () => {
    const discovery = await server()
    serveAll(discovery, '1')
    const workers: RecordingWorker[] = []
    const flags = flagsOf()
    const control = new Control({
      settings: readSettings(bootstrap(adsBootstrap(discovery.port)), flags),
      flags,
      log: new ProxyLog({ level: 'off' }),
      workerFactory: () => {
        const worker = new RecordingWorker()
        workers.push(worker)
        return worker
      },
    })
    onTestFinished(() => control.stop(0))
    await control.start()
    workers[0]?.emit('error', new Error('out of memory'))
    workers[0]?.emit('exit', 1)
    await until(() => workers.length === 2 && workers[1]?.live.has('listener/in') === true, 'another took its place')
    expect(new Set(workers[1]?.order)).toEqual(new Set(workers[0]?.order))
  })
})

describe('static configuration', () => {
  test('a static secret holds what is asked of it', () => {
    const of = (secret: string) => () =>
      controlOf(`
static_resources:
  secrets: [${secret}]
  clusters:
  - name: a
    connect_timeout: 1s
    transport_socket:
      name: tls
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context: {validation_context_sds_secret_config: {name: s}}`)
    expect(of('{name: s, generic_secret: {secret: {inline_string: x}}}')).toThrow(
      /secret s holds a genericSecret, where a validationContext/,
    )
    expect(of('{name: s, validation_context: {}}')).not.toThrow()
  })

  test('a static listener that cannot be opened ends the start with its address', async () => {
    const worker = new RecordingWorker()
    worker.refuse.set('listener/in', "cannot bind '127.0.0.1:15001': address in use")
    const { control } = controlOf(
      `static_resources: {listeners: [${JSON.stringify({
        name: 'in',
        address: { socket_address: { address: '127.0.0.1', port_value: 15001 } },
        filter_chains: [
          {
            filters: [
              {
                name: 'tcp',
                typed_config: {
                  '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                  stat_prefix: 't',
                  cluster: 'a',
                },
              },
            ],
          },
        ],
      })}]}`,
      worker,
    )
    await expect(control.start()).rejects.toThrow(/error adding listener 'in': cannot bind '127.0.0.1:15001'/)
  })

  test('a cluster of names is resolved before it goes live, and again', async () => {
    const { control, worker } = controlOf(`
static_resources:
  clusters:
  - name: d
    type: STRICT_DNS
    alt_stat_name: names:d
    dns_lookup_family: V4_ONLY
    connect_timeout: 1s
    load_assignment: {cluster_name: d, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: localhost, port_value: 80}}}}]}]}
`)
    await control.start()
    expect(worker.live.get('endpoints/d')?.slots).toEqual({ '127.0.0.1:80': expect.any(Number) })
    expect(control.clusters.active()[0]?.assignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier?.value).toMatchObject({
      hostname: 'localhost',
    })
    expect(control.reader.value('cluster.names_d.update_success')).toBe(1)
  })
})
