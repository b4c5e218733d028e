import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Path of the real Envoy, from WEFT_ENVOY; tests that need it are skipped without. */
export const envoyBinary = process.env['WEFT_ENVOY']

export interface EnvoyOptions {
  readonly nodeId: string
  readonly metadata: Record<string, unknown>
  readonly pilotPort: number
  readonly secretsPort: number
  readonly api?: 'GRPC' | 'DELTA_GRPC'
}

export interface RunningEnvoy {
  /** Waits until a listener of that name is active. */
  listening(name: string): Promise<void>
  /** Everything it has written, for a failed test. */
  output(): string
  close(): Promise<void>
}

/** Starts real Envoy with a bootstrap as `weft up` writes it, but for plaintext to Pilot and Citadel. */
export async function startEnvoy(options: EnvoyOptions): Promise<RunningEnvoy> {
  if (envoyBinary === undefined) throw new Error('WEFT_ENVOY is not set')
  const folder = await mkdtemp(join(tmpdir(), 'weft-envoy-'))
  const adminFile = join(folder, 'admin')
  const config = JSON.stringify(bootstrap(options))
  const arguments_ = [
    '--config-yaml',
    config,
    '--disable-hot-restart',
    '--concurrency',
    '1',
    '-l',
    'warn',
    '--admin-address-path',
    adminFile,
  ]
  const child: ChildProcess = spawn(envoyBinary, arguments_, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(child, 'exit')

  return {
    listening: async (name) => {
      for (const deadline = Date.now() + 15_000; Date.now() < deadline; await pause(50)) {
        if (child.exitCode !== null) break
        const admin = await readFile(adminFile, 'utf8').catch(() => '')
        if (admin === '') continue
        const listeners = await fetch(`http://${admin}/listeners`).then(
          (response) => response.text(),
          () => '',
        )
        if (listeners.includes(`${name}::`)) return
      }
      throw new Error(`Envoy has no listener ${name}:\n${output}`)
    },
    output: () => output,
    close: async () => {
      if (child.exitCode === null) child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Has Envoy check a whole bootstrap, binding nothing. Gives its words, empty when it is satisfied. */
export async function validateWithEnvoy(config: unknown): Promise<string> {
  if (envoyBinary === undefined) throw new Error('WEFT_ENVOY is not set')
  const folder = await mkdtemp(join(tmpdir(), 'weft-envoy-'))
  const file = join(folder, 'bootstrap.json')
  await writeFile(file, JSON.stringify(config))
  const child = spawn(envoyBinary, ['--mode', 'validate', '-c', file, '-l', 'error'])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await once(child, 'close')
  await rm(folder, { recursive: true, force: true })
  return child.exitCode === 0 ? '' : output
}

function bootstrap({ nodeId, metadata, pilotPort, secretsPort, api = 'GRPC' }: EnvoyOptions) {
  const cluster = (name: string, port: number) => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] }],
    },
  })
  return {
    node: { id: nodeId, cluster: 'test', metadata },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    dynamic_resources: {
      ads_config: { api_type: api, transport_api_version: 'V3', grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }] },
      cds_config: { ads: {}, resource_api_version: 'V3' },
      lds_config: { ads: {}, resource_api_version: 'V3' },
    },
    static_resources: { clusters: [cluster('xds-grpc', pilotPort), cluster('sds-grpc', secretsPort)] },
  }
}
