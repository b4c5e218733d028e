import { X509Certificate } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServerCredentials } from '@grpc/grpc-js'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { until } from '@weft/service/testing/until'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readSettings } from '../bootstrap/settings.ts'
import { parseFlags } from '../flags.ts'
import { ProxyLog } from '../log.ts'
import { type IssuedCertificate, TestAuthority } from '../testing/certificates.ts'
import { Control } from './control.ts'
import { DiscoveryServer, type Served } from './testing/discovery-server.ts'
import { RecordingWorker } from './testing/recording-worker.ts'
import { adsBootstrap, assignment, bootstrap, resource } from './testing/resources.ts'

const workload = 'spiffe://cluster.local/ns/default/sa/web'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-secrets-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function start(yaml: string): { control: Control; worker: RecordingWorker; live: Promise<void> } {
  const flags = parseFlags(['--concurrency', '1', '-l', 'off'], 'test')
  if ('print' in flags) throw new Error('flags that print')
  const worker = new RecordingWorker()
  const control = new Control({
    settings: readSettings(bootstrap(yaml), flags),
    flags,
    log: new ProxyLog({ level: 'off' }),
    workerFactory: () => worker,
  })
  onTestFinished(() => control.stop(0))
  return { control, worker, live: control.start() }
}

async function tlsServer(authority: TestAuthority, uri: string, wantClient: boolean): Promise<DiscoveryServer> {
  const own = await authority.issue(uri)
  const server = new DiscoveryServer(
    ServerCredentials.createSsl(
      Buffer.from(authority.pem),
      [{ cert_chain: Buffer.from(own.cert), private_key: Buffer.from(own.key) }],
      wantClient,
    ),
  )
  await server.start()
  onTestFinished(() => server.stop())
  return server
}

function pairSecret(name: string, pair: IssuedCertificate): Served {
  const yaml = {
    name,
    tls_certificate: { certificate_chain: { inline_string: pair.cert }, private_key: { inline_string: pair.key } },
  }
  return resource('secret', JSON.stringify(yaml))
}

function rootSecret(name: string, root: string): Served {
  return resource('secret', JSON.stringify({ name, validation_context: { trusted_ca: { inline_string: root } } }))
}

const sds = `{api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: sds-grpc}, initial_metadata: [{key: authorization, value: Bearer join-token}]}]}, resource_api_version: V3}`

/** A node as `weft up` makes it: Citadel by TLS and token, Pilot by mTLS with what Citadel gives. */
function meshBootstrap(pilotPort: number, citadelPort: number, rootFile: string): string {
  const tls = (context: string): string => `
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context: ${context}`
  const citadel = `
  - name: sds-grpc
    type: STATIC
    connect_timeout: 1s
    load_assignment: ${assignment('sds-grpc', citadelPort)}${tls(
      `{validation_context: {trusted_ca: {filename: ${rootFile}}, match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "spiffe://cluster.local/ns/istio-system/sa/citadel"}}]}}`,
    )}`
  const pilot = tls(
    `{tls_certificate_sds_secret_configs: [{name: default, sds_config: ${sds}}], combined_validation_context: {default_validation_context: {match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "spiffe://cluster.local/ns/istio-system/sa/pilot"}}]}, validation_context_sds_secret_config: {name: ROOTCA, sds_config: ${sds}}}}`,
  )
  return adsBootstrap(pilotPort, `${pilot}\n${citadel}`)
}

describe('a node whose identity comes by SDS', () => {
  test('gets its secrets with its join token first, then speaks mTLS to its control plane, and again with a rotated one', async () => {
    const authority = await TestAuthority.create()
    const rootFile = join(folder(), 'root.pem')
    writeFileSync(rootFile, authority.pem)
    const citadel = await tlsServer(authority, 'spiffe://cluster.local/ns/istio-system/sa/citadel', false)
    const pilot = await tlsServer(authority, 'spiffe://cluster.local/ns/istio-system/sa/pilot', true)
    const first = await authority.issue(workload)
    citadel.serve('secret', '1', [pairSecret('default', first), rootSecret('ROOTCA', authority.pem)])
    pilot.serve('cluster', '1', [resource('cluster', '{name: a, type: STATIC, connect_timeout: 1s}')])
    pilot.serve('listener', '1', [])
    // A pod's token is a file that Kubernetes replaces.
    const tokenFile = join(folder(), 'token')
    writeFileSync(tokenFile, 'join-token\n')
    const fromFile = `Bearer %FILE_CONTENT(${tokenFile})%`
    const bootstrap = meshBootstrap(pilot.port, citadel.port, rootFile).replaceAll('Bearer join-token', fromFile)
    const { worker, live, control } = start(bootstrap)
    await live
    expect(worker.live.has('cluster/a')).toBe(true)
    expect(citadel.metadata[0]?.['authorization']).toBe('Bearer join-token')
    expect(worker.order.indexOf('secret/default')).toBeLessThan(worker.order.indexOf('cluster/xds'))
    expect(pilot.connections).toBe(1)

    const requests = pilot.requests.length
    citadel.serve('secret', '2', [pairSecret('default', await authority.issue(workload)), rootSecret('ROOTCA', authority.pem)])
    await until(() => pilot.metadata.length === 2, 'a new connection with the new certificate')
    await until(() => pilot.requests.length > requests, 'it asked again')
    expect(worker.live.has('cluster/a')).toBe(true)
    expect(
      control.secrets
        .list()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['ROOTCA', 'default'])
  })

  test('does not speak to a control plane that is somebody else', async () => {
    const authority = await TestAuthority.create()
    const rootFile = join(folder(), 'root.pem')
    writeFileSync(rootFile, authority.pem)
    const impostor = await tlsServer(authority, 'spiffe://cluster.local/ns/default/sa/other', false)
    impostor.serve('secret', '1', [rootSecret('ROOTCA', authority.pem)])
    const { control, live } = start(
      meshBootstrap(1, impostor.port, rootFile).replaceAll(
        'resource_api_version: V3}',
        'resource_api_version: V3, initial_fetch_timeout: 0.2s}',
      ),
    )
    await live
    expect(impostor.requests).toEqual([])
    expect(control.secrets.get('ROOTCA')).toBeUndefined()
  })

  test("refuses a secret whose key is another certificate's, and keeps the one it has", async () => {
    const authority = await TestAuthority.create()
    const rootFile = join(folder(), 'root.pem')
    writeFileSync(rootFile, authority.pem)
    const citadel = await tlsServer(authority, 'spiffe://cluster.local/ns/istio-system/sa/citadel', false)
    const pilot = await tlsServer(authority, 'spiffe://cluster.local/ns/istio-system/sa/pilot', true)
    const good = await authority.issue(workload)
    citadel.serve('secret', '1', [pairSecret('default', good), rootSecret('ROOTCA', authority.pem)])
    pilot.serve('cluster', '1', [])
    pilot.serve('listener', '1', [])
    const { control, live } = start(meshBootstrap(pilot.port, citadel.port, rootFile))
    await live
    const other = await authority.issue(workload)
    citadel.serve('secret', '2', [
      pairSecret('default', { cert: other.cert, key: good.key }),
      rootSecret('ROOTCA', authority.pem),
    ])
    await until(() => citadel.nack('secret') !== undefined, 'the refusal')
    expect(citadel.nack('secret')).toMatch(/secret default: .*key/i)
    expect(citadel.nack('secret')).not.toContain('PRIVATE KEY')
    expect(serialOf(control.secrets.get('default'))).toBe(new X509Certificate(good.cert).serialNumber)
  })
})

function serialOf(secret: Secret | undefined): string | undefined {
  const source = secret?.type?.$case === 'tlsCertificate' ? secret.type.value.certificateChain?.specifier : undefined
  return source?.$case === 'inlineBytes' ? new X509Certificate(source.value).serialNumber : undefined
}

describe('a secret from files', () => {
  test('reaches the workers with its content, and again when the files are replaced; unreadable ones change nothing', async () => {
    const authority = await TestAuthority.create()
    const dir = folder()
    const put = (name: string, text: string): void => {
      writeFileSync(join(dir, `${name}.new`), text)
      renameSync(join(dir, `${name}.new`), join(dir, name))
    }
    const first = await authority.issue(workload)
    put('cert.pem', first.cert)
    put('key.pem', first.key)
    const { worker, live } = start(`
static_resources:
  secrets:
  - name: own
    tls_certificate:
      certificate_chain: {filename: ${dir}/cert.pem}
      private_key: {filename: ${dir}/key.pem}
      watched_directory: {path: ${dir}}
`)
    await live
    const serial = (): string | undefined => {
      const bytes = worker.live.get('secret/own')?.bytes
      return bytes === undefined || bytes === null ? undefined : serialOf(Secret.decode(bytes))
    }
    expect(serial()).toBe(new X509Certificate(first.cert).serialNumber)
    put('cert.pem', 'junk')
    const second = await authority.issue(workload)
    put('key.pem', second.key)
    put('cert.pem', second.cert)
    await until(() => serial() === new X509Certificate(second.cert).serialNumber, 'the new certificate')
  })
})
