import { chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Running, until } from '../../processes.ts'
import { root } from '../mesh-under-test.ts'
import type { Scenario } from '../scenario.ts'
import { type Namespace, type Network, proxyUser, runIn, startIn } from './namespaces.ts'

const main = (app: string): string[] => [process.execPath, join(root, `apps/${app}/src/main.ts`)]

export interface WorkloadOf {
  name: string
  namespace: Namespace
  mode: 'REDIRECT' | 'TPROXY'
  labels: string
  ports: string
}

/** Virtual addresses of services: nobody has them, sidecars know them. */
export const virtual = { web: '10.96.0.10', raw: '10.96.0.11', database: '10.96.0.12', tproxy: '10.96.0.13' } as const

const service = (name: string, app: string, address: string, port: string): string => `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${app} }, clusterIP: ${address}, ports: [${port}] }
---
`

const entry = ({ name, namespace, mode, labels, ports }: WorkloadOf): string => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: ${name}
  annotations:
    mesh.weft.dev/proxy: sidecar
    mesh.weft.dev/interception: ${mode}
    mesh.weft.dev/more-addresses: ${namespace.addressV6}
spec:
  address: ${namespace.address}
  ports: { ${ports} }
  labels: { ${labels}, security.istio.io/tlsMode: istio }
  serviceAccount: ${name}
---
`

/** How strict workloads are about who calls them. */
export const peerAuthentication = (mode: 'STRICT' | 'PERMISSIVE'): string => `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: ${mode} } }
`

/** Whether programs may call what the mesh does not know. */
export const outboundPolicy = (mode: 'ALLOW_ANY' | 'REGISTRY_ONLY'): string => `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default }
spec: { outboundTrafficPolicy: { mode: ${mode} } }
`

/** A control plane in the core, and sidecars in the workloads' namespaces: all as separate processes, as anywhere else. */
export class InterceptedMesh {
  readonly configFolder: string
  private readonly folder: string
  private readonly core: Namespace
  private readonly scenario: Scenario

  constructor(scenario: Scenario, network: Network, folder: string) {
    this.scenario = scenario
    this.core = network.core
    this.folder = folder
    this.configFolder = join(folder, 'config')
    for (const name of ['config', 'proxies', 'control']) mkdirSync(join(folder, name))
  }

  configure(file: string, text: string): void {
    writeFileSync(join(this.configFolder, file), text)
  }

  async startControlPlane(workloads: readonly WorkloadOf[]): Promise<void> {
    const { folder, core } = this
    const path = (name: string): string => join(folder, name)
    this.configure('workloads.yaml', workloads.map(entry).join(''))
    this.configure(
      'services.yaml',
      service('web', 'server', virtual.web, '{ name: http, port: 80, targetPort: 8080 }') +
        service('raw', 'server', virtual.raw, '{ name: tcp, port: 7000 }') +
        service('database', 'server', virtual.database, '{ name: mysql, port: 3306 }') +
        service('tproxy', 'tproxy', virtual.tproxy, '{ name: http, port: 80, targetPort: 8080 }'),
    )
    this.configure('peer-authentication.yaml', peerAuthentication('STRICT'))
    this.configure('sidecar.yaml', outboundPolicy('ALLOW_ANY'))
    writeFileSync(path('mesh-config.yaml'), 'trustDomain: cluster.local\nrootNamespace: istio-system\nenableAutoMtls: true\n')
    const citadel = `${core.address}:15012`
    const pilot = `${core.address}:15010`
    const rootCertificate = path('root-cert.pem')
    const citadelRuns = this.keep(
      startIn(core, [
        ...main('citadel'),
        ...['--grpc-address', citadel, '--admin-address', '127.0.0.1:15014'],
        ...['--data-dir', path('citadel'), '--root-cert-file', rootCertificate],
      ]),
    )
    await this.untilReady(core, 'http://127.0.0.1:15014/healthz/ready', citadelRuns)
    const enrolled = runIn(core, [
      ...main('weft'),
      ...['enroll', '--config', this.configFolder, '--out', path('proxies'), '--control-out', path('control')],
      ...['--citadel', '127.0.0.1:15014', '--operator-token-file', path('citadel/operator.token')],
      ...['--citadel-grpc', citadel, '--pilot-grpc', pilot, '--root-cert-file', rootCertificate],
    ])
    if (enrolled.code !== 0) throw new Error(`weft enroll: ${enrolled.err}`)
    for (const file of readdirSync(path('proxies'))) chownSync(join(path('proxies'), file), proxyUser, proxyUser)
    const pilotRuns = this.keep(
      startIn(core, [
        ...main('pilot'),
        ...['--grpc-address', pilot, '--admin-address', '127.0.0.1:15016', '--config-dir', this.configFolder],
        ...['--mesh-config', path('mesh-config.yaml'), '--citadel-address', citadel, '--root-cert-file', rootCertificate],
        ...['--join-token-file', path('control/pilot.token'), '--operator-token-file', path('control/operator.token')],
      ]),
    )
    await this.untilReady(core, 'http://127.0.0.1:15016/healthz/ready', pilotRuns)
  }

  /** Sets the rules in a workload's namespace, and starts its sidecar; gives its process when it serves. */
  async startSidecar({ name, namespace, mode }: WorkloadOf): Promise<Running> {
    const ran = this.weft('iptables', '--network-namespace', namespace.name, '-m', mode)
    if (ran.code !== 0) throw new Error(`weft iptables: ${ran.err}`)
    const proxy = this.keep(
      startIn(namespace, [...main('proxy'), '-c', join(this.folder, 'proxies', `${name}.json`), '--concurrency', '1'], {
        type: 'proxy',
        netAdmin: mode === 'TPROXY',
      }),
    )
    await this.untilReady(namespace, 'http://127.0.0.1:15000/ready', proxy)
    return proxy
  }

  /** The command `weft`, outside of all namespaces. */
  weft(...args: string[]): ReturnType<typeof runIn> {
    return runIn({ name: '/proc/self/ns/net', address: '', addressV6: '' }, [...main('weft'), ...args])
  }

  /** A number of a sidecar's statistics, by the end of its name; those of several are added up. */
  stat({ namespace }: WorkloadOf, pattern: RegExp): number {
    const { out } = runIn(namespace, ['curl', '-s', 'http://127.0.0.1:15000/stats'])
    return out
      .split('\n')
      .map((line) => /^(.*): (\d+)$/.exec(line))
      .reduce((sum, match) => sum + (pattern.test(match?.[1] ?? '') ? Number(match?.[2]) : 0), 0)
  }

  private keep(running: Running): Running {
    this.scenario.cleanup(() => running.stop())
    return running
  }

  private untilReady(namespace: Namespace, url: string, owner: Running): Promise<void> {
    const ready = (): boolean => runIn(namespace, ['curl', '-sf', '-m', '5', '-o', '/dev/null', url]).code === 0
    return until(ready, `${url} in ${namespace.name}`, owner, 90_000)
  }
}
