import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IstioFiles } from '../../istio/install.ts'
import type { KubernetesServer } from '../../kubernetes/server.ts'
import { freePort, type Running, start, until } from '../../processes.ts'
import type { Network } from '../intercept/namespaces.ts'
import type { Scenario } from '../scenario.ts'

export const systemNamespace = 'istio-system'
const patienceMs = 180_000

/** A real istiod over a Kubernetes API server, which the workloads of a network reach. */
export class Istiod {
  /** Where agents reach it. */
  readonly address: string
  private readonly running: Running
  private readonly monitoring: string

  private constructor(address: string, running: Running, monitoring: string) {
    this.address = address
    this.running = running
    this.monitoring = monitoring
  }

  static async start(scenario: Scenario, istio: IstioFiles, server: KubernetesServer, network: Network, folder: string) {
    const host = joinNetwork(network)
    const meshConfig = join(folder, 'mesh.yaml')
    const secure = `${host}:15012`
    const mesh = ['trustDomain: cluster.local', `defaultConfig: { discoveryAddress: "${secure}" }`, 'accessLogFile: /dev/stdout']
    writeFileSync(meshConfig, `${mesh.join('\n')}\n`)
    const [http, monitoring] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
    const running = start(
      [
        ...[
          istio.discovery,
          'discovery',
          '--registries=Kubernetes',
          '--kubeconfig',
          server.kubeconfig,
          '--meshConfig',
          meshConfig,
        ],
        ...['--grpcAddr=', '--httpsAddr=', '--httpAddr', http, '--secureGRPCAddr', secure, '--monitoringAddr', monitoring],
        ...['--ctrlz_port', '0', '--domain', 'cluster.local'],
      ],
      {
        cwd: folder,
        env: {
          ...process.env,
          POD_NAMESPACE: systemNamespace,
          POD_NAME: 'istiod-0',
          CLUSTER_ID: 'Kubernetes',
          INJECT_ENABLED: 'false',
          VALIDATION_WEBHOOK_CONFIG_NAME: '',
          PILOT_MAX_REQUESTS_PER_SECOND: '1000',
        },
      },
    )
    scenario.cleanup(() => running.stop())
    const isReady = (): Promise<boolean> =>
      fetch(`http://${http}/ready`).then(
        ({ status }) => status === 200,
        () => false,
      )
    await until(isReady, 'istiod to be ready', running, patienceMs)
    return new Istiod(secure, running, `http://${monitoring}/metrics`)
  }

  output(): string {
    return this.running.output()
  }

  /** A number of its own metrics, over all labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(this.monitoring)).text()
    return text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .reduce((sum, line) => sum + Number(line.split(' ').pop()), 0)
  }
}

/** Joins this process's own network to that of the workloads; gives its address there. It goes with the network. */
function joinNetwork({ core }: Network): string {
  const name = `weft-${process.pid}`
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'host', 'netns', core.name)
  ip('-n', core.name, 'link', 'set', 'host', 'master', 'mesh', 'up')
  const address = core.address.replace(/\d+$/, '254')
  ip('addr', 'add', `${address}/24`, 'dev', name)
  ip('link', 'set', name, 'up')
  return address
}

/** The root of istiod's authority, as it gives it to every namespace. */
export async function rootCertificate(server: KubernetesServer, namespace: string, file: string): Promise<string> {
  const path = ['get', 'configmap', 'istio-ca-root-cert', '-n', namespace, '-o', 'jsonpath={.data.root-cert\\.pem}']
  const found = async (): Promise<boolean> => (await server.kubectl(path).catch(() => '')).includes('BEGIN CERTIFICATE')
  await until(found, 'the root certificate', undefined, patienceMs)
  writeFileSync(file, await server.kubectl(path))
  return readFileSync(file, 'utf8')
}
