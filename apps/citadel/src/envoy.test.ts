import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { peerCheck } from '@weft/identity/credentials'
import { until } from '@weft/service/testing/until'
import { expect, it, onTestFinished } from 'vitest'
import { startTestCitadel, testFolder } from './testing.ts'

const envoy = process.env['WEFT_ENVOY']
if (envoy === undefined) console.log('skipped: Envoy takes its certificate from Citadel (set WEFT_ENVOY to the binary of Envoy)')

const alice = 'spiffe://cluster.local/ns/default/sa/alice'
it.skipIf(envoy === undefined)(
  'Envoy takes its certificate from Citadel over SDS and serves with it, also after a rotation',
  async () => {
    const folder = await testFolder()
    const citadel = await startTestCitadel(folder, { workloadTtl: 3 })
    onTestFinished(() => citadel.lifecycle.stop('end of test'))
    const port = await freePort()
    const configFile = join(folder, 'envoy.json')
    await writeFile(configFile, JSON.stringify(envoyConfig(citadel.grpc, citadel.rootCertFile, await citadel.mint(alice), port)))
    const child = spawn(
      envoy ?? '',
      ['-c', configFile, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning'],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    onTestFinished(() => stop(child))
    let log = ''
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
    })
    const root = await readFile(citadel.rootCertFile)
    const serials = new Set<string>()
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(`Envoy ended: ${log}`)
        const answer = await ask(port, root).catch(() => undefined)
        if (answer !== undefined) {
          expect(answer.status).toBe(200)
          serials.add(answer.serial)
        }
        return serials.size >= 2
      },
      'an answer over two certificates',
      15_000,
    )
    expect(await citadel.metric('weft_citadel_sds_answers_total{answer="ack"}')).toBeGreaterThan(1)
    expect(log).not.toMatch(/rejected|gRPC config for/)
  },
  30_000,
)

/** A request whose server has to chain to the root and be alice. */
function ask(port: number, ca: Buffer): Promise<{ status: number | undefined; serial: string }> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: '127.0.0.1', port, ca, agent: false, timeout: 1_000, servername: 'alice', checkServerIdentity: peerCheck(alice) },
      (response) => {
        const socket = response.socket as TLSSocket
        const serial = socket.getPeerCertificate().serialNumber
        response.resume().on('end', () => resolve({ status: response.statusCode, serial }))
      },
    )
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error('timeout')))
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

function envoyConfig(citadel: string, rootFile: string, token: string, port: number): unknown {
  const [host, citadelPort] = citadel.split(':')
  const address = (socketHost: string | undefined, portValue: number) => ({
    socket_address: { address: socketHost, port_value: portValue },
  })
  const sds = (name: string) => ({
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: { cluster_name: 'sds-grpc' },
            initial_metadata: [{ key: 'authorization', value: `Bearer ${token}` }],
          },
        ],
      },
    },
  })
  const tls = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
  return {
    node: { id: 'sidecar~127.0.0.1~alice.default~default.svc.cluster.local', cluster: 'alice' },
    static_resources: {
      listeners: [
        {
          name: 'tls',
          address: address('127.0.0.1', port),
          filter_chains: [
            {
              transport_socket: {
                name: 'envoy.transport_sockets.tls',
                typed_config: {
                  '@type': `${tls}.DownstreamTlsContext`,
                  common_tls_context: {
                    tls_certificate_sds_secret_configs: [sds('default')],
                    validation_context_sds_secret_config: sds('ROOTCA'),
                  },
                },
              },
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: {
                    '@type':
                      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    stat_prefix: 'tls',
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'ok' } } }],
                        },
                      ],
                    },
                    http_filters: [
                      {
                        name: 'envoy.filters.http.router',
                        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name: 'sds-grpc',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          transport_socket: {
            name: 'envoy.transport_sockets.tls',
            typed_config: {
              '@type': `${tls}.UpstreamTlsContext`,
              sni: 'citadel',
              common_tls_context: {
                validation_context: {
                  trusted_ca: { filename: rootFile },
                  match_typed_subject_alt_names: [
                    { san_type: 'URI', matcher: { exact: 'spiffe://cluster.local/ns/istio-system/sa/citadel' } },
                  ],
                },
              },
            },
          },
          load_assignment: {
            cluster_name: 'sds-grpc',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(host, Number(citadelPort)) } }] }],
          },
        },
      ],
    },
  }
}
