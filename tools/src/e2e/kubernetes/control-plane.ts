import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { proxyBootstrap } from '@weft/weft/mesh/bootstrap'
import type { KubernetesServer } from '../../kubernetes/server.ts'
import { type Running, start, until } from '../../processes.ts'
import { root } from '../mesh-under-test.ts'
import { askPilot, healthyEndpoints, untilReady } from '../pilot-api.ts'
import type { Scenario } from '../scenario.ts'

const main = (app: string): string => join(root, `apps/${app}/src/main.ts`)
const patienceMs = 300_000
const grpcPort = 15012
const adminPort = 15014
const gatewayAccount = 'istio-ingressgateway'

/** Citadel, Pilot and an ingress gateway as they run in a cluster: each with its service account's token and rights alone. */
export class ControlPlane {
  readonly rootCertFile: string
  readonly pilot: { host: string; port: number }
  readonly citadel: { host: string; port: number }
  readonly #server: KubernetesServer
  readonly #scenario: Scenario
  readonly #folder: string
  #pilot: Running | undefined
  #pilotArgs: string[] = []
  #pilotEnvironment: NodeJS.ProcessEnv = {}

  private constructor(scenario: Scenario, server: KubernetesServer, folder: string, octet: number) {
    this.#scenario = scenario
    this.#server = server
    this.#folder = folder
    this.rootCertFile = join(folder, 'root.pem')
    this.citadel = { host: `127.${octet}.0.2`, port: grpcPort }
    this.pilot = { host: `127.${octet}.0.3`, port: grpcPort }
  }

  static async start(scenario: Scenario, server: KubernetesServer, folder: string, octet: number): Promise<ControlPlane> {
    const plane = new ControlPlane(scenario, server, folder, octet)
    await mkdir(folder, { recursive: true })
    await plane.#startCitadel()
    await plane.#preparePilot()
    await plane.startPilot()
    return plane
  }

  get pilotAdmin(): string {
    return `http://${this.pilot.host}:${adminPort}`
  }

  /** What Pilot says at a path of its API. */
  ask<T>(path: string): Promise<T> {
    return askPilot(this.pilotAdmin, path)
  }

  /** The endpoints of a service that Pilot has for healthy, as `address:port`. */
  healthyEndpoints(service: string): Promise<string[]> {
    return healthyEndpoints(this.pilotAdmin, service)
  }

  /** What Pilot has to say against the cluster; undefined while it follows it. */
  async problem(): Promise<string | undefined> {
    const { registries } = await this.ask<{ registries: { name: string; problem?: string }[] }>('/v1/status')
    return registries.find(({ name }) => name === 'kubernetes')?.problem
  }

  /** Waits until each webhook that is installed trusts this many roots. */
  async untilWebhooksTrust(count: number): Promise<void> {
    const configurations = 'mutatingwebhookconfigurations,validatingwebhookconfigurations'
    const path = 'jsonpath={range .items[*].webhooks[*]}[{.clientConfig.caBundle}]{end}'
    const isWritten = async (): Promise<boolean> => {
      const text = await this.#server.kubectl(['get', configurations, '-o', path])
      const roots = [...text.matchAll(/\[(.*?)\]/g)].map(
        ([, bundle = '']) => Buffer.from(bundle, 'base64').toString().split('BEGIN CERTIFICATE').length - 1,
      )
      return roots.length > 0 && roots.every((each) => each === count)
    }
    await until(isWritten, `${count} roots in all webhooks`, undefined, patienceMs)
  }

  /** Takes the next step of a rotation of Citadel's root, once all have taken the one before. */
  async rotateRoot(step: 'begin' | 'switch'): Promise<void> {
    const token = (await readFile(join(this.#folder, 'citadel', 'operator.token'), 'utf8')).trim()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    let said = ''
    const isTaken = async (): Promise<boolean> => {
      const body = JSON.stringify({ step })
      const answer = await fetch(`http://${this.citadel.host}:${adminPort}/v1/rotation`, { method: 'POST', headers, body })
      said = await answer.text()
      return answer.ok
    }
    await until(isTaken, `the step ${step}`, undefined, patienceMs).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${said}`)
    })
  }

  async startPilot(): Promise<void> {
    const pilot = start(this.#pilotArgs, { env: this.#pilotEnvironment })
    this.#pilot = pilot
    this.#scenario.cleanup(() => pilot.stop())
    await untilReady(this.pilotAdmin, 'Pilot', pilot, patienceMs)
  }

  /** Ends Pilot as a crash does. */
  async killPilot(): Promise<void> {
    await this.#pilot?.stop(0)
  }

  /** A gateway beside the pods; `ports` says where each of its ports is of 127.0.0.1. */
  async startGateway(ports: Readonly<Record<number, number>>, octet: number): Promise<void> {
    await this.#pod(gatewayAccount)
    const bootstrap = proxyBootstrap({
      ...{ pilot: this.pilot, citadel: this.citadel, meshId: 'kubernetes', rootCertFile: this.rootCertFile },
      admin: `127.${octet}.0.9`,
      proxy: {
        ...{ type: 'router', address: `127.${octet}.0.9`, name: `${gatewayAccount}-0`, workload: gatewayAccount },
        ...{ namespace: 'istio-system', serviceAccount: gatewayAccount, labels: { istio: 'ingressgateway' } },
      },
      interception: { mode: 'NONE', loopback: { bind: '127.0.0.1', ports } },
      joinToken: await this.#token(gatewayAccount),
    })
    const file = join(this.#folder, 'ingressgateway.json')
    await writeFile(file, JSON.stringify(bootstrap), { mode: 0o600 })
    const gateway = start([process.execPath, main('proxy'), '-c', file, '--concurrency', '1', '-l', 'warn'])
    this.#scenario.cleanup(() => gateway.stop())
  }

  async #startCitadel(): Promise<void> {
    const { host } = this.citadel
    const kubeconfig = await this.#server.writeKubeconfig('citadel', await this.#server.tokenOf('istio-system', 'citadel'))
    const citadel = start([
      ...[process.execPath, main('citadel'), '--grpc-address', `${host}:${grpcPort}`, '--admin-address', `${host}:${adminPort}`],
      ...['--data-dir', join(this.#folder, 'citadel'), '--root-cert-file', this.rootCertFile],
      ...['--kubernetes', 'review', '--kubeconfig', kubeconfig, '--root-config-map', 'istio-ca-root-cert'],
    ])
    this.#scenario.cleanup(() => citadel.stop())
    await untilReady(`http://${host}:${adminPort}`, 'Citadel', citadel, patienceMs)
  }

  async #preparePilot(): Promise<void> {
    await this.#pod('pilot')
    const kubeconfig = await this.#server.writeKubeconfig('pilot', await this.#server.tokenOf('istio-system', 'pilot'))
    const tokenFile = join(this.#folder, 'pilot.token')
    await writeFile(tokenFile, await this.#token('pilot'), { mode: 0o600 })
    const { host } = this.pilot
    // Addresses of services are this machine's too: what calls the webhook's Service calls Pilot.
    const service = ['get', 'service', 'pilot', '-n', 'istio-system', '-o', 'jsonpath={.spec.clusterIP}']
    const serviceAddress = await this.#server.kubectl(service)
    this.#pilotArgs = [
      ...[process.execPath, main('pilot'), '--grpc-address', `${host}:${grpcPort}`, '--admin-address', `${host}:${adminPort}`],
      ...['--registry', 'kubernetes', '--config-source', 'kubernetes'],
      ...['--citadel-address', `${this.citadel.host}:${grpcPort}`, '--root-cert-file', this.rootCertFile],
      ...['--join-token-file', tokenFile],
      ...['--webhook-address', `${serviceAddress}:443`, '--webhook-dns-name', 'pilot.istio-system.svc'],
    ]
    this.#pilotEnvironment = { ...process.env, KUBECONFIG: kubeconfig, POD_NAMESPACE: 'istio-system', POD_NAME: 'pilot-0' }
  }

  /** The pod that a token is bound to. */
  async #pod(account: string): Promise<void> {
    const pod = {
      metadata: { name: `${account}-0`, namespace: 'istio-system', labels: { 'sidecar.istio.io/inject': 'false' } },
      spec: { serviceAccountName: account, containers: [{ name: account, image: account }] },
    }
    await this.#server.client.call({ method: 'POST', path: '/api/v1/namespaces/istio-system/pods', body: pod })
  }

  #token(account: string): Promise<string> {
    return this.#server.tokenOf('istio-system', account, { audiences: ['istio-ca'], pod: `${account}-0` })
  }
}
