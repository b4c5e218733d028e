import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installH2spec } from '../peers.ts'
import { freePort, start, untilListening } from '../processes.ts'
import type { Scenario } from './scenario.ts'

const run = promisify(execFile)
const root = new URL('../../../', import.meta.url).pathname

const hcm = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
const router = 'envoy.extensions.filters.http.router.v3.Router'
const tlsContext = 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'

/** A bootstrap that answers everything itself, in plaintext and over TLS. */
function bootstrap(plain: number, secure: number, certificate: string, key: string): object {
  const filters = (codec: string) => [
    {
      name: 'hcm',
      typed_config: {
        '@type': `type.googleapis.com/${hcm}`,
        stat_prefix: 'in',
        codec_type: codec,
        http2_protocol_options: { max_concurrent_streams: 100 },
        route_config: {
          virtual_hosts: [
            {
              name: 'all',
              domains: ['*'],
              routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'hello' } } }],
            },
          ],
        },
        http_filters: [{ name: 'router', typed_config: { '@type': `type.googleapis.com/${router}` } }],
      },
    },
  ]
  const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } })
  return {
    static_resources: {
      listeners: [
        { name: 'plain', address: address(plain), filter_chains: [{ filters: filters('HTTP2') }] },
        {
          name: 'secure',
          address: address(secure),
          filter_chains: [
            {
              filters: filters('AUTO'),
              transport_socket: {
                name: 'tls',
                typed_config: {
                  '@type': `type.googleapis.com/${tlsContext}`,
                  common_tls_context: {
                    alpn_protocols: ['h2', 'http/1.1'],
                    tls_certificates: [
                      { certificate_chain: { inline_string: certificate }, private_key: { inline_string: key } },
                    ],
                  },
                },
              },
            },
          ],
        },
      ],
    },
  }
}

async function certificate(folder: string): Promise<{ certificate: string; key: string }> {
  const [certificatePath, keyPath] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('openssl', [
    'req',
    '-x509',
    ...curve,
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-keyout',
    keyPath,
    '-out',
    certificatePath,
  ])
  return { certificate: readFileSync(certificatePath, 'utf8'), key: readFileSync(keyPath, 'utf8') }
}

/** All of h2spec against a listener of ours, plaintext and TLS. */
export async function h2specScenario(scenario: Scenario): Promise<void> {
  const h2spec = installH2spec()
  if (h2spec === undefined) {
    scenario.skip('h2spec', 'it is not installed, and could not be built with Go')
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'weft-h2spec-'))
  scenario.cleanup(() => rmSync(folder, { recursive: true, force: true }))
  const { certificate: chain, key } = await certificate(folder)
  const [plain, secure] = [await freePort(), await freePort()]
  const config = join(folder, 'bootstrap.json')
  writeFileSync(config, JSON.stringify(bootstrap(plain, secure, chain, key)))
  const proxy = start([process.execPath, join(root, 'apps/proxy/src/main.ts'), '-c', config, '--concurrency', '1', '-l', 'warn'])
  scenario.cleanup(() => proxy.stop())
  await untilListening(plain, proxy)
  await untilListening(secure, proxy)
  for (const [name, port, flags] of [
    ['plaintext', plain, []],
    ['TLS', secure, ['-t', '-k']],
  ] as const) {
    const { stdout } = await run(h2spec, ['-h', '127.0.0.1', '-p', String(port), '-o', '10', ...flags], {
      maxBuffer: 16 * 1024 * 1024,
    }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }))
    const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(stdout)
    const failures = [...stdout.matchAll(/× (.*)/g)].map(([, what]) => what).join('; ')
    const [, total, passed] = summary ?? []
    scenario.check(
      `h2spec, ${name}`,
      total !== undefined && total === passed && Number(total) >= 145,
      `${summary?.[0] ?? 'no result'}${failures === '' ? '' : `: ${failures}`}`,
      'on',
    )
  }
  scenario.check('the proxy is still there', proxy.child.exitCode === null)
}
