/**
 * `npm run e2e -- rotation`: certificates and trust change every tenth of a second, by files and by gRPC, as clients go on making
 * connections; each request crosses two hops of mutual TLS, and none fails. `WEFT_ROTATIONS` says how often (60).
 */
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { ResourceSet } from '@weft/xds/cache/resource-set'
import { createXdsService, type XdsClient } from '@weft/xds/server/server'
import { typeUrls } from '@weft/xds/types'
import { type Certificates, makeCertificates } from '../certificates.ts'
import { freePort, start, until, untilListening } from '../processes.ts'
import { startOrigins } from './churn/load.ts'
import { encode } from './churn/resources.ts'
import { address, cluster, type Message, router, typed } from './parity/bootstrap.ts'
import { weftSubject } from './parity.ts'
import type { Scenario } from './scenario.ts'

const times = Number(process.env['WEFT_ROTATIONS'] ?? 60)
const everyMs = 100

/** One state of the two secrets: a certificate with its key, and who is trusted. */
interface Material {
  readonly cert: string
  readonly key: string
  readonly trust: string
}

/** How the proxy gets its secrets. */
interface Delivery {
  /** Of a secret of this name; the clusters and sources of configuration that it needs. */
  config(name: 'own' | 'trust'): Message
  readonly clusters: readonly Message[]
  readonly sources?: Message
  deliver(material: Material): Promise<void>
}

export async function rotationScenario(scenario: Scenario): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-rotation-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const authorities: Certificates[] = []
  for (const name of ['a', 'b']) {
    await mkdir(join(folder, name))
    authorities.push(makeCertificates(join(folder, name)))
  }
  const materials = await materialsOf(authorities)
  const origins = await startOrigins(scenario)
  for (const [how, open] of [
    ['files that a link swaps', () => byFiles(join(folder, 'secrets'))],
    ['gRPC', () => byGrpc(scenario)],
  ] as const) {
    scenario.section(`${times} rotations by ${how}`)
    await rotate(scenario, await open(), materials, authorities, origins, folder)
  }
}

/** The certificates take turns; both authorities are always trusted, in changing order and company. */
async function materialsOf(authorities: readonly Certificates[]): Promise<Material[]> {
  const read = (path: string) => readFile(path, 'utf8')
  const roots = await Promise.all(authorities.map(({ ca }) => read(ca)))
  const strangers = await Promise.all(authorities.map(({ stranger }) => read(stranger.cert)))
  return Promise.all(
    authorities.map(async ({ server }, i) => ({
      cert: await read(server.cert),
      key: await read(server.key),
      trust: [...(i === 0 ? roots : roots.toReversed()), strangers[i]].join(''),
    })),
  )
}

async function rotate(
  scenario: Scenario,
  delivery: Delivery,
  materials: readonly Material[],
  authorities: readonly Certificates[],
  origins: readonly number[],
  folder: string,
): Promise<void> {
  const [first] = materials
  if (first === undefined) throw new Error('no certificates')
  await delivery.deliver(first)
  const ports = { front: await freePort(), back: await freePort(), admin: await freePort() }
  const file = join(folder, 'bootstrap.json')
  await writeFile(file, JSON.stringify(bootstrap(ports, delivery, origins)))
  const proxy = start([...weftSubject.command, '-c', file, '--concurrency', '2', '-l', 'warn'])
  scenario.cleanup(() => proxy.stop())
  await untilListening(ports.front, proxy, undefined, 60_000)
  const clients = await Promise.all(
    [...authorities, ...authorities].map((one, i) => startClient(one, authorities, ports.front, i >= 2)),
  )
  await until(() => clients.every(({ seen }) => seen.requests > 5), 'the first requests', proxy)
  for (let turn = 1; turn <= times; turn++) {
    await new Promise((resolve) => setTimeout(resolve, everyMs))
    await delivery.deliver(materials[turn % materials.length] ?? first)
  }
  await Promise.all(clients.map(({ end }) => end()))
  const requests = clients.reduce((sum, { seen }) => sum + seen.requests, 0)
  const failures = clients.flatMap(({ seen }) => seen.failures)
  scenario.check('no request failed', failures.length === 0, failures.slice(0, 5).join('; ') || `${requests} requests`, 'on')
  const changes = clients.reduce((sum, { seen }) => sum + seen.changes, 0)
  scenario.check('clients met the certificates in turn', changes >= times / 4, `${changes} changes were seen`, 'on')
  const stats = await (await fetch(`http://127.0.0.1:${ports.admin}/stats?filter=ssl`)).text()
  const failed = stats.split('\n').filter((line) => /ssl\.(fail_\w+|connection_error): [1-9]/.test(line))
  scenario.check('no handshake failed', failed.length === 0, failed.join('; ') || handshakes(stats), 'on')
  await proxy.stop()
}

function handshakes(stats: string): string {
  const counts = [...stats.matchAll(/ssl\.handshake: (\d+)/g)].map(([, count]) => Number(count))
  return `${counts.reduce((sum, count) => sum + count, 0)} handshakes`
}

/** A client that sends on and on, each request on a connection of its own or some on one. */
async function startClient(own: Certificates, authorities: readonly Certificates[], port: number, keeps: boolean) {
  const agent = new Agent({
    keepAlive: keeps,
    maxSockets: 1,
    cert: await readFile(own.client.cert),
    key: await readFile(own.client.key),
    ca: await Promise.all(authorities.map(({ ca }) => readFile(ca))),
    servername: 'a.test',
    maxCachedSessions: 0,
  })
  const seen = { requests: 0, changes: 0, failures: [] as string[] }
  let last = ''
  let ending = false
  const ask = () =>
    new Promise<void>((resolve) => {
      const fail = (why: string) => {
        seen.failures.push(why)
        resolve()
      }
      request({ host: '127.0.0.1', port, agent, path: '/' }, (response) => {
        const { socket } = response
        const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : ''
        if (last !== '' && shown !== last) seen.changes++
        last = shown
        if (response.statusCode !== 200) fail(`answered ${response.statusCode}`)
        response.on('end', resolve)
        response.on('error', (error) => fail(error.message))
        response.resume()
      })
        .on('error', (error) => fail(error.message))
        .end()
    })
  const over = (async () => {
    while (!ending) {
      await ask()
      seen.requests++
    }
    agent.destroy()
  })()
  return {
    seen,
    end: () => {
      ending = true
      return over
    },
  }
}

/** A folder whose link `now` leads to the files of the last state, as Kubernetes swaps those of its Secrets. */
async function byFiles(folder: string): Promise<Delivery> {
  await mkdir(folder)
  const path = (name: string) => join(folder, 'now', name)
  const watched = { path: folder }
  const secrets: Record<'own' | 'trust', Message> = {
    own: {
      tls_certificate: {
        certificate_chain: { filename: path('cert.pem') },
        private_key: { filename: path('key.pem') },
        watched_directory: watched,
      },
    },
    trust: { validation_context: { trusted_ca: { filename: path('trust.pem') }, watched_directory: watched } },
  }
  for (const [name, secret] of Object.entries(secrets)) {
    const resource = { '@type': typeUrls.secret, name, ...secret }
    await writeFile(join(folder, `${name}.json`), JSON.stringify({ resources: [resource] }))
  }
  let version = 0
  return {
    config: (name) => ({
      name,
      sds_config: { path_config_source: { path: join(folder, `${name}.json`) }, resource_api_version: 'V3' },
    }),
    clusters: [],
    async deliver({ cert, key, trust }) {
      const next = join(folder, String(++version))
      await mkdir(next)
      for (const [name, text] of Object.entries({ 'cert.pem': cert, 'key.pem': key, 'trust.pem': trust }))
        await writeFile(join(next, name), text)
      await symlink(next, join(folder, 'next'))
      await rename(join(folder, 'next'), join(folder, 'now'))
    },
  }
}

async function byGrpc(scenario: Scenario): Promise<Delivery> {
  let now: ResourceSet = ResourceSet.of([])
  const connected = new Set<XdsClient>()
  const service = createXdsService({
    connect(client) {
      connected.add(client)
      client.stream.update(new Map([[typeUrls.secret, now]]))
      return { accepted() {}, refused() {} }
    },
  })
  const server = new Server()
  server.addService(service.definition, service.implementation)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  scenario.cleanup(() => {
    service.close()
    server.forceShutdown()
  })
  return {
    config: (name) => ({ name, sds_config: { ads: {}, resource_api_version: 'V3' } }),
    sources: {
      ads_config: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [{ envoy_grpc: { cluster_name: 'sds' } }] },
    },
    clusters: [
      cluster('sds', [port], {
        typed_extension_protocol_options: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
            { explicit_http_config: { http2_protocol_options: {} } },
          ),
        },
      }),
    ],
    async deliver({ cert, key, trust }) {
      now = ResourceSet.of([
        encode('secret', 'own', {
          name: 'own',
          tls_certificate: { certificate_chain: { inline_string: cert }, private_key: { inline_string: key } },
        }),
        encode('secret', 'trust', { name: 'trust', validation_context: { trusted_ca: { inline_string: trust } } }),
      ])
      for (const client of connected) client.stream.update(new Map([[typeUrls.secret, now]]))
    },
  }
}

/** Clients meet `front`, which calls `back`, both by mutual TLS; `back` calls the origins. */
function bootstrap(
  ports: { front: number; back: number; admin: number },
  delivery: Delivery,
  origins: readonly number[],
): Message {
  const common: Message = {
    tls_certificate_sds_secret_configs: [delivery.config('own')],
    validation_context_sds_secret_config: delivery.config('trust'),
  }
  const socket = (type: string, fields: Message): Message => ({
    name: 'envoy.transport_sockets.tls',
    typed_config: typed(`envoy.extensions.transport_sockets.tls.v3.${type}`, { common_tls_context: common, ...fields }),
  })
  const listener = (name: 'front' | 'back', target: string): Message => {
    const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
      stat_prefix: name,
      route_config: {
        virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: target } }] }],
      },
      http_filters: [router],
    })
    return {
      name,
      address: address(ports[name]),
      filter_chains: [
        {
          filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
          transport_socket: socket('DownstreamTlsContext', { require_client_certificate: true }),
        },
      ],
    }
  }
  return {
    admin: { address: address(ports.admin) },
    node: { id: 'rotation', cluster: 'rotation' },
    ...(delivery.sources === undefined ? {} : { dynamic_resources: delivery.sources }),
    static_resources: {
      listeners: [listener('front', 'back'), listener('back', 'origins')],
      clusters: [
        // New connections all the time, so that handshakes meet each state.
        cluster('back', [ports.back], {
          transport_socket: socket('UpstreamTlsContext', { sni: 'a.test' }),
          max_requests_per_connection: 3,
        }),
        cluster('origins', origins),
        ...delivery.clusters,
      ],
    },
  }
}
