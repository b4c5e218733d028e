import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IstioFiles } from '../../istio/install.ts'
import type { KubernetesServer } from '../../kubernetes/server.ts'
import { type Running, until } from '../../processes.ts'
import { type Namespace, proxyUser, runIn, startIn } from '../intercept/namespaces.ts'
import { root } from '../mesh-under-test.ts'
import type { Scenario } from '../scenario.ts'
import type { Istiod } from './istiod.ts'

/** A pod of the API server, in a network namespace of its own. */
export interface Workload {
  readonly name: string
  readonly app: string
  readonly version: string
  readonly namespace: Namespace
}

export interface AgentOptions {
  readonly scenario: Scenario
  readonly istio: IstioFiles
  readonly istiod: Istiod
  readonly server: KubernetesServer
  /** A folder that everybody may enter. */
  readonly folder: string
  readonly rootCertificate: string
  /** The pods' namespace. */
  readonly kubeNamespace: string
  /** How long a sidecar may take to be ready. */
  readonly patienceMs: number
}

const main = (app: string): string[] => [process.execPath, join(root, 'apps', app, 'src/main.ts')]

/** Istio's own agent in a workload's namespace, which starts our proxy as it would start Envoy. */
export class Agent {
  readonly running: Running
  private readonly workload: Workload

  private constructor(workload: Workload, running: Running) {
    this.workload = workload
    this.running = running
  }

  static async start(workload: Workload, options: AgentOptions): Promise<Agent> {
    const { scenario, istio, istiod, server, kubeNamespace } = options
    const { name, app, version, namespace } = workload
    const folder = join(options.folder, name)
    const files = ['etc/istio/proxy', 'etc/istio/pod', 'var/run/secrets/tokens', 'var/run/secrets/istio']
    for (const path of files) mkdirSync(join(folder, path), { recursive: true })
    const labels = { app, version, 'service.istio.io/canonical-name': app, 'service.istio.io/canonical-revision': version }
    const lines = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`)
    writeFileSync(join(folder, 'etc/istio/pod/labels'), `${lines.join('\n')}\n`)
    writeFileSync(join(folder, 'etc/istio/pod/annotations'), '')
    const token = await server.tokenOf(kubeNamespace, app, { audiences: ['istio-ca'], pod: name })
    writeFileSync(join(folder, 'var/run/secrets/tokens/istio-token'), token)
    writeFileSync(join(folder, 'var/run/secrets/istio/root-cert.pem'), options.rootCertificate)
    const binary = join(folder, 'proxy')
    writeFileSync(binary, `#!/bin/sh\nexec ${main('proxy').join(' ')} "$@"\n`)
    chmodSync(binary, 0o755)
    const agent = join(folder, 'agent')
    copyFileSync(istio.agent, agent)
    chmodSync(agent, 0o755)
    const template = join(folder, 'bootstrap.json')
    copyFileSync(istio.bootstrapTemplate, template)
    chmodSync(template, 0o644)
    runIn({ name: '/proc/self/ns/net', address: '', addressV6: '' }, ['chown', '-R', String(proxyUser), folder])
    chownSync(folder, proxyUser, proxyUser)
    const rules = runIn({ name: '/proc/self/ns/net', address: '', addressV6: '' }, [
      ...main('weft'),
      ...['iptables', '--network-namespace', namespace.name, '-m', 'REDIRECT'],
    ])
    if (rules.code !== 0) throw new Error(`weft iptables: ${rules.err}`)
    const proxyConfig = {
      binaryPath: binary,
      configPath: './etc/istio/proxy',
      proxyBootstrapTemplatePath: template,
      discoveryAddress: istiod.address,
      concurrency: 1,
      statusPort: 15020,
    }
    const variables = {
      POD_NAME: name,
      POD_NAMESPACE: kubeNamespace,
      INSTANCE_IP: namespace.address,
      SERVICE_ACCOUNT: app,
      TRUST_DOMAIN: 'cluster.local',
      PILOT_CERT_PROVIDER: 'istiod',
      CA_ADDR: istiod.address,
      ISTIOD_SAN: 'istiod.istio-system.svc',
      PROXY_CONFIG: JSON.stringify(proxyConfig),
      ISTIO_META_CLUSTER_ID: 'Kubernetes',
      ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
      ISTIO_META_WORKLOAD_NAME: `${app}-${version}`,
      ISTIO_META_OWNER: `kubernetes://apis/apps/v1/namespaces/${kubeNamespace}/deployments/${app}-${version}`,
      ISTIO_META_MESH_ID: 'cluster.local',
    }
    const set = Object.entries(variables).map(([key, value]) => `${key}=${value}`)
    const running = startIn(
      namespace,
      ['env', `--chdir=${folder}`, ...set, agent, 'proxy', 'sidecar', '--domain', `${kubeNamespace}.svc.cluster.local`],
      { type: 'proxy', netAdmin: false },
    )
    scenario.cleanup(() => running.stop(10_000))
    const one = new Agent(workload, running)
    await until(() => one.isReady, `the sidecar of ${name}`, running, options.patienceMs)
    return one
  }

  /** As the agent tells Kubernetes. */
  get isReady(): boolean {
    return this.ask('http://127.0.0.1:15021/healthz/ready').code === 0
  }

  private ask(url: string) {
    return runIn(this.workload.namespace, ['curl', '-sf', '-m', '10', url])
  }

  /** What the proxy's admin API answers. */
  admin(path: string): string {
    return this.ask(`http://127.0.0.1:15000${path}`).out
  }

  /** Lines of Istio's metrics, as Prometheus would get them from the agent (merged with those of its own). */
  metrics(): string[] {
    return this.ask('http://127.0.0.1:15020/stats/prometheus')
      .out.split('\n')
      .filter((line) => line.startsWith('istio_'))
  }

  /** The sum of a metric's series that have these labels. */
  sum(metric: string, labels: Readonly<Record<string, string>>): number {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    return this.metrics()
      .filter((line) => line.startsWith(`${metric}{`) && wanted.every((pair) => line.includes(pair)))
      .reduce((sum, line) => sum + Number(line.split(' ').pop()), 0)
  }
}
