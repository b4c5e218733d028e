import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mintJoinTokens } from '@weft/weft/clients/citadel'
import { proxyBootstrap } from '@weft/weft/mesh/bootstrap'
import { claimOctet } from '@weft/weft/mesh/octet'
import { compileCacheFolder, installedPrograms, type Program, type Programs } from '@weft/weft/mesh/programs'
import { freePort, type Running, start } from '../../processes.ts'
import { askPilot, healthyEndpoints, untilReady } from '../pilot-api.ts'
import type { Scenario } from '../scenario.ts'
import { type BookinfoInstance, bookinfo, serviceOctets } from './bookinfo.ts'
import { gatewayNamespace, writeCredential } from './gateway-credentials.ts'

const patienceMs = 300_000
const grpcPort = 15012
const adminPort = 15014
const gatewayAccount = 'ingressgateway'

export interface MeshOnPlatformOptions {
  /** Pilot's `--registry`. */
  registry: string
  /** More flags of Citadel. */
  citadel?: readonly string[]
  /** Each workload's service account, where the platform says it. */
  serviceAccountOf?: (instance: BookinfoInstance) => string
}

/** Citadel, Pilot and an ingress gateway, with services from a platform; the workloads are the platform's business. */
export class MeshOnPlatform {
  readonly folder: string
  readonly configFolder: string
  readonly octet: number
  readonly instances: readonly BookinfoInstance[]
  readonly gateway: string
  /** Where the gateway opens what a Gateway has as HTTPS. */
  readonly tlsPort: number
  /** As `weft up` starts them. */
  readonly programs: Programs
  readonly #scenario: Scenario
  #pilot: Running | undefined

  private constructor(
    scenario: Scenario,
    programs: Programs,
    folder: string,
    octet: number,
    [gatewayPort, tlsPort]: readonly [number, number],
    options: MeshOnPlatformOptions,
  ) {
    this.programs = programs
    this.#scenario = scenario
    this.folder = folder
    this.configFolder = join(folder, 'config')
    this.octet = octet
    this.gateway = `http://127.0.0.1:${gatewayPort}`
    this.tlsPort = tlsPort
    const { serviceAccountOf = ({ serviceAccount }) => serviceAccount } = options
    this.instances = bookinfo(octet).map((instance) => ({ ...instance, serviceAccount: serviceAccountOf(instance) }))
  }

  static async start(scenario: Scenario, options: MeshOnPlatformOptions): Promise<MeshOnPlatform> {
    const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-platform-'))
    scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
    const claim = await claimOctet()
    scenario.cleanup(() => claim.release())
    const port = await freePort()
    const ports = [port, await freePort()] as const
    const mesh = new MeshOnPlatform(scenario, await installedPrograms(false), folder, claim.octet, ports, options)
    await mkdir(mesh.configFolder)
    await writeFile(join(mesh.configFolder, 'traffic.yaml'), traffic(port))
    await mesh.#startCitadel(options.citadel ?? [])
    await mesh.#startPilot(options.registry)
    await mesh.#startGateway(port)
    return mesh
  }

  get pilotAdmin(): string {
    return `http://127.${this.octet}.0.3:${adminPort}`
  }

  /** What Pilot says at a path of its API. */
  pilot<T>(path: string): Promise<T> {
    return askPilot(this.pilotAdmin, path)
  }

  /** The endpoints of a service that Pilot has for healthy, as `address:port`. */
  healthyEndpoints(service: string): Promise<string[]> {
    return healthyEndpoints(this.pilotAdmin, service)
  }

  /** Writes a file of configuration. */
  async configure(name: string, yaml: string): Promise<void> {
    await writeFile(join(this.configFolder, name), yaml)
  }

  /** Keeps a credential for the gateway's account. */
  async keepCredential(name: string, files: Record<string, string>): Promise<void> {
    await writeCredential(join(this.#credentials, gatewayNamespace, gatewayAccount), name, files)
  }

  get #credentials(): string {
    return join(this.folder, 'credentials')
  }

  async joinToken(serviceAccount: string, namespace = 'default'): Promise<string> {
    const identity = `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`
    const operatorToken = join(this.folder, 'citadel', 'operator.token')
    const [token] = await mintJoinTokens(`127.${this.octet}.0.2:${adminPort}`, operatorToken, [{ identity, ttlSeconds: 3_600 }])
    if (token === undefined) throw new Error('Citadel gave no token')
    return token
  }

  /** A sidecar's bootstrap with this token. */
  sidecarBootstrap(instance: BookinfoInstance, joinToken: string): Record<string, unknown> {
    const { name, sidecarAddress, prefix, address, serviceAccount, app, version } = instance
    const services = Object.fromEntries(
      Object.entries(serviceOctets).map(([service, last]) => [`${service}.default.svc.cluster.local`, last]),
    )
    return this.#bootstrap(
      {
        ...{ type: 'sidecar', address: sidecarAddress, name, workload: name, namespace: 'default' },
        ...{ serviceAccount, labels: { app, version } },
      },
      { prefix, app: address, services },
      joinToken,
    )
  }

  /** Starts one of our proxies with a bootstrap. */
  async startProxy(name: string, bootstrap: object): Promise<Running> {
    const file = join(this.folder, `${name}.json`)
    await writeFile(file, JSON.stringify(bootstrap), { mode: 0o600 })
    const proxy = start(this.proxyCommand(file), { env: processEnvironment })
    this.#scenario.cleanup(() => proxy.stop())
    return proxy
  }

  /** How one of our proxies is started. */
  proxyCommand(bootstrapFile: string): string[] {
    return [...commandOf(this.programs.proxy), '-c', bootstrapFile, '--concurrency', '1', '-l', 'warn']
  }

  /** Ends Pilot and starts it again. */
  async restartPilot(registry: string): Promise<void> {
    await this.#pilot?.stop()
    await this.#startPilot(registry)
  }

  async #startCitadel(more: readonly string[]): Promise<void> {
    const host = `127.${this.octet}.0.2`
    const citadel = start(
      [
        ...[
          ...commandOf(this.programs.citadel),
          '--grpc-address',
          `${host}:${grpcPort}`,
          '--admin-address',
          `${host}:${adminPort}`,
        ],
        ...['--data-dir', join(this.folder, 'citadel'), '--root-cert-file', join(this.folder, 'root.pem'), ...more],
      ],
      { env: processEnvironment },
    )
    this.#scenario.cleanup(() => citadel.stop())
    await untilReady(`http://${host}:${adminPort}`, 'Citadel', citadel, patienceMs)
  }

  async #startPilot(registry: string): Promise<void> {
    const host = `127.${this.octet}.0.3`
    const tokenFile = join(this.folder, 'pilot.token')
    await writeFile(tokenFile, await this.joinToken('pilot', 'istio-system'), { mode: 0o600 })
    const pilot = start(
      [
        ...[
          ...commandOf(this.programs.pilot),
          '--grpc-address',
          `${host}:${grpcPort}`,
          '--admin-address',
          `${host}:${adminPort}`,
        ],
        ...[
          '--config-dir',
          this.configFolder,
          '--registry',
          registry,
          '--credentials-dir',
          this.#credentials,
          '--citadel-address',
          `127.${this.octet}.0.2:${grpcPort}`,
        ],
        ...['--root-cert-file', join(this.folder, 'root.pem'), '--join-token-file', tokenFile],
      ],
      { env: processEnvironment },
    )
    this.#pilot = pilot
    this.#scenario.cleanup(() => pilot.stop())
    await untilReady(`http://${host}:${adminPort}`, 'Pilot', pilot, patienceMs)
  }

  async #startGateway(port: number): Promise<void> {
    const bootstrap = this.#bootstrap(
      {
        ...{ type: 'router', address: `127.${this.octet}.0.9`, name: 'ingressgateway', workload: 'ingressgateway' },
        ...{ namespace: gatewayNamespace, serviceAccount: gatewayAccount, labels: { istio: 'ingressgateway' } },
      },
      { bind: '127.0.0.1', ports: { [port]: port, [this.tlsPort]: this.tlsPort } },
      await this.joinToken(gatewayAccount, gatewayNamespace),
    )
    await this.startProxy('ingressgateway', bootstrap)
  }

  #bootstrap(
    proxy: Parameters<typeof proxyBootstrap>[0]['proxy'],
    loopback: Record<string, unknown>,
    joinToken: string,
  ): Record<string, unknown> {
    return proxyBootstrap({
      pilot: { host: `127.${this.octet}.0.3`, port: grpcPort },
      citadel: { host: `127.${this.octet}.0.2`, port: grpcPort },
      admin: proxy.address,
      proxy,
      interception: { mode: 'NONE', loopback },
      meshId: 'platform',
      rootCertFile: join(this.folder, 'root.pem'),
      joinToken,
    })
  }
}

const processEnvironment = { ...process.env, NODE_COMPILE_CACHE: compileCacheFolder }

function commandOf({ command, args }: Program): string[] {
  return [command, ...args]
}

/** The way in, and mutual TLS alone between workloads. */
function traffic(port: number): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: bookinfo-gateway }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: bookinfo }
spec:
  hosts: ["*"]
  gateways: [bookinfo-gateway]
  http: [{ route: [{ destination: { host: productpage, port: { number: 9080 } } }] }]
`
}
