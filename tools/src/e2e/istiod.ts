/**
 * The scenario `istiod`: a real istiod over a real kube-apiserver drives our proxy, which Istio's own agent starts as it would
 * start Envoy; programs that know nothing of it, in network namespaces with packet filter rules.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installIstio } from '../istio/install.ts'
import { installKubernetes } from '../kubernetes/install.ts'
import { KubernetesServer } from '../kubernetes/server.ts'
import { until } from '../processes.ts'
import { type Namespace, Network, namespaceProblem, runIn, startIn } from './intercept/namespaces.ts'
import { Agent, type Workload } from './istiod/agent.ts'
import { Istiod, rootCertificate, systemNamespace } from './istiod/istiod.ts'
import { expect, type Scenario } from './scenario.ts'

const kubeNamespace = 'shop'
const host = `reviews.${kubeNamespace}.svc.cluster.local`
const clusterAddress = '10.96.0.50'
const patienceMs = 60_000

export async function istiodScenario(scenario: Scenario): Promise<void> {
  const problem = namespaceProblem()
  if (problem !== undefined) return scenario.skip('all of it', problem)
  const bin = installKubernetes()
  if (bin === undefined) return scenario.skip('all of it', 'kube-apiserver is not on this machine and could not be built')
  const istio = installIstio()
  if (istio === undefined) return scenario.skip('all of it', 'istiod is not on this machine and could not be built')
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-istiod-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)

  scenario.section('a cluster, and istiod')
  const network = new Network()
  scenario.cleanup(() => network.close())
  const workload = (app: string, version: string, number: number): Workload => {
    const name = `${app}-${version}`
    return { name, app, version, namespace: network.add(name, number) }
  }
  const client = workload('web', 'v1', 2)
  const servers = [workload('reviews', 'v1', 3), workload('reviews', 'v2', 4)]
  const server = await KubernetesServer.start({ bin })
  scenario.cleanup(() => server.stop())
  const apply = (yaml: string): Promise<string> => server.kubectl(['apply', '-f', '-'], yaml)
  await apply(accounts)
  await server.kubectl(['apply', '--server-side', '-f', istio.definitions])
  await server.kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all'])
  for (const one of [client, ...servers]) {
    await apply(pod(one))
    await server.kubectl([
      'patch',
      'pod',
      one.name,
      '-n',
      kubeNamespace,
      '--subresource=status',
      '--type=merge',
      '-p',
      podStatus(one),
    ])
  }
  await apply(services(servers))
  await apply(strict)
  const istiod = await Istiod.start(scenario, istio, server, network, folder)
  const agents = {
    ...{ scenario, istio, istiod, server, folder, kubeNamespace, patienceMs: 120_000 },
    rootCertificate: await rootCertificate(server, kubeNamespace, join(folder, 'root-cert.pem')),
  }

  scenario.section('sidecars: our proxy, started by pilot-agent')
  for (const { namespace } of servers) {
    const programs = [process.execPath, join(import.meta.dirname, 'intercept/programs.ts'), namespace.address]
    const running = startIn(namespace, programs)
    scenario.cleanup(() => running.stop())
    await until(() => curl(namespace, 'http://127.0.0.1:8080/').code === 0, `programs in ${namespace.name}`, running, patienceMs)
  }
  const sidecars: Agent[] = []
  for (const one of [client, ...servers])
    await scenario.attempt(`${one.name}: the agent says that it is ready`, async () => {
      sidecars.push(await Agent.start(one, agents))
      return undefined
    })
  if (sidecars.length < 3) return
  await checks(scenario, { istiod, client, sidecars, apply })
}

interface Parts {
  istiod: Istiod
  client: Workload
  sidecars: Agent[]
  apply: (yaml: string) => Promise<string>
}

async function checks(scenario: Scenario, { istiod, client, sidecars, apply }: Parts): Promise<void> {
  const [near, ...far] = sidecars as [Agent, Agent, Agent]
  const ask = (path: string, ...more: string[]) => curl(client.namespace, `http://${host}${path}`, ...more)
  const status = (path: string): string => ask(path, '-o', '/dev/null', '-w', '%{http_code}').out
  /** How many of so many requests each version answered. */
  const spread = (count: number): number[] => {
    const before = far.map((one) => one.sum('istio_requests_total', { response_code: '200' }))
    for (let i = 0; i < count; i++) ask('/spread')
    return far.map((one, i) => one.sum('istio_requests_total', { response_code: '200' }) - (before[i] ?? 0))
  }

  scenario.section('traffic')
  await scenario.attempt('a request goes through both sidecars, over mutual TLS by istiod’s authority', async () => {
    await until(() => status('/') === '200', 'an answer', undefined, patienceMs)
    const { headers } = JSON.parse(ask('/').out) as { headers: Record<string, string> }
    const certificate = headers['x-forwarded-client-cert'] ?? ''
    expect(certificate.includes('URI=spiffe://cluster.local/ns/shop/sa/web'), `x-forwarded-client-cert is '${certificate}'`)
    expect(headers['x-envoy-peer-metadata'] === undefined, 'the program heard what sidecars tell each other')
    return certificate
  })
  await scenario.attempt('without a sidecar nothing is answered: mutual TLS is strict', async () => {
    const direct = curl(
      { ...client.namespace, name: '/proc/self/ns/net' },
      `http://${far[0] === undefined ? '' : '10.77.0.3'}:8080/`,
    )
    expect(direct.code !== 0, 'plaintext was answered')
    return undefined
  })
  await scenario.attempt('a DestinationRule and a VirtualService with weights hold', async () => {
    await apply(subsets)
    await apply(weights(0, 100))
    await until(() => spread(4).join() === '0,4', 'all requests to go to v2', undefined, patienceMs)
    await apply(weights(50, 50))
    const both = (): boolean => {
      const [first = 0, second = 0] = spread(20)
      return first > 2 && second > 2
    }
    await until(both, 'requests to go to both', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt('TCP goes through both, where the server speaks first', async () => {
    const script = `exec 3<>/dev/tcp/${clusterAddress}/7000; IFS= read -t 15 -r a <&3; echo "$a"; echo hello >&3; IFS= read -t 15 -r b <&3; echo "$b"`
    const talk = () => runIn(client.namespace, ['bash', '-c', script]).out
    await until(() => /you are .*\nheard hello/.test(talk()), 'the conversation', undefined, patienceMs)
    return undefined
  })
  // On TCP such a rule has no paths, and denies all: it comes last.
  await scenario.attempt('an AuthorizationPolicy denies a path, for both versions', async () => {
    await apply(denial)
    await until(() => [1, 2, 3, 4, 5, 6].every(() => status('/secret/plan') === '403'), 'a denial', undefined, patienceMs)
    expect(status('/open') === '200', 'another path is denied too')
    return undefined
  })

  scenario.section('metrics')
  const mesh = {
    source_workload: 'web-v1',
    source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
    source_app: 'web',
    destination_principal: 'spiffe://cluster.local/ns/shop/sa/reviews',
    destination_service: host,
    destination_service_name: 'reviews',
    destination_app: 'reviews',
  }
  await scenario.attempt('istio_requests_total has Istio’s labels on both sides', async () => {
    const seen = (agent: Agent, labels: Record<string, string>) => agent.sum('istio_requests_total', { ...mesh, ...labels })
    const source = seen(near, { reporter: 'source', response_code: '200' })
    const destination = far.map((one) =>
      seen(one, { reporter: 'destination', connection_security_policy: 'mutual_tls', response_code: '200' }),
    )
    const denied = far.map((one) => seen(one, { response_code: '403' }))
    const lines = () =>
      [near, ...far]
        .map((one) =>
          one
            .metrics()
            .filter((line) => line.startsWith('istio_requests'))
            .join('\n'),
        )
        .join('\n')
    expect(source > 0 && destination.every((count) => count > 0), `${source} and ${destination}:\n${lines()}`)
    expect(
      source === destination.reduce((sum, count) => sum + count, 0),
      `${source} at the client, ${destination} at the servers`,
    )
    expect(
      denied.some((count) => count > 0),
      `no denial is counted: ${lines()}`,
    )
    return `${source} at the client, ${destination} at the servers`
  })
  await scenario.attempt('durations, sizes and TCP are counted', async () => {
    for (const metric of ['istio_request_duration_milliseconds_count', 'istio_request_bytes_sum', 'istio_response_bytes_sum'])
      expect(near.sum(metric, { reporter: 'source' }) > 0, `no ${metric}`)
    for (const metric of ['istio_tcp_connections_opened_total', 'istio_tcp_sent_bytes_total', 'istio_tcp_received_bytes_total'])
      for (const one of [near, ...far]) {
        if (one !== near && one.sum('istio_tcp_connections_opened_total', {}) === 0) continue
        const { source_workload, destination_app } = mesh
        expect(
          one.sum(metric, { source_workload, destination_app }) > 0,
          `no ${metric}:\n${one
            .metrics()
            .filter((line) => line.startsWith('istio_tcp'))
            .join('\n')}`,
        )
      }
    return undefined
  })

  scenario.section('nothing is refused')
  await scenario.attempt('istiod hears of no rejected configuration, and the sidecars count none', async () => {
    const rejected = await istiod.metric('pilot_total_xds_rejects')
    const stats = sidecars.map((one) => one.admin('/stats?filter=update_rejected'))
    const counted = stats
      .join('\n')
      .split('\n')
      .filter((line) => /: [1-9]/.test(line))
    const states = sidecars.map((one) => one.admin('/config_dump')).filter((dump) => dump.includes('"error_state"'))
    expect(rejected === 0 && counted.length === 0 && states.length === 0, `${rejected} rejected, ${counted.join(', ')}`)
    return undefined
  })
}

function curl(from: Namespace, url: string, ...more: string[]) {
  return runIn(from, ['curl', '-s', '-m', '10', '--resolve', `${host}:80:${clusterAddress}`, ...more, url])
}

const metadata = (name: string, more = '') => `{ name: ${name}, namespace: ${kubeNamespace}${more} }`

const accounts = `apiVersion: v1
kind: Namespace
metadata: { name: ${systemNamespace} }
---
apiVersion: v1
kind: Namespace
metadata: { name: ${kubeNamespace} }
---
apiVersion: v1
kind: ServiceAccount
metadata: ${metadata('web')}
---
apiVersion: v1
kind: ServiceAccount
metadata: ${metadata('reviews')}
`

function pod({ name, app, version }: Workload): string {
  return `apiVersion: v1
kind: Pod
metadata: ${metadata(name, `, labels: { app: ${app}, version: ${version}, security.istio.io/tlsMode: istio }`)}
spec:
  serviceAccountName: ${app}
  nodeName: node
  containers: [{ name: app, image: app }]
`
}

function podStatus({ namespace }: Workload): string {
  const { address } = namespace
  return JSON.stringify({
    status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions: [{ type: 'Ready', status: 'True' }] },
  })
}

function services(servers: readonly Workload[]): string {
  const endpoints = servers.map(
    ({ name, namespace }) =>
      `{ addresses: [${namespace.address}], conditions: { ready: true }, nodeName: node, targetRef: { kind: Pod, name: ${name}, namespace: ${kubeNamespace} } }`,
  )
  return `apiVersion: v1
kind: Service
metadata: ${metadata('reviews')}
spec:
  clusterIP: ${clusterAddress}
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp, port: 7000 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: ${metadata('reviews-1', ', labels: { kubernetes.io/service-name: reviews }')}
addressType: IPv4
ports: [{ name: http, port: 8080, protocol: TCP }, { name: tcp, port: 7000, protocol: TCP }]
endpoints: [${endpoints.join(', ')}]
`
}

const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: ${metadata('default')}
spec: { mtls: { mode: STRICT } }
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: default, namespace: ${systemNamespace} }
spec: { metrics: [{ providers: [{ name: prometheus }] }] }
`

const subsets = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: ${metadata('reviews')}
spec:
  host: ${host}
  trafficPolicy: { outlierDetection: { consecutive5xxErrors: 50 }, connectionPool: { http: { maxRetries: 3 } } }
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
`

function weights(first: number, second: number): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: ${metadata('reviews')}
spec:
  hosts: [${host}]
  http:
    - retries: { attempts: 2 }
      route:
        - { destination: { host: ${host}, subset: v1 }, weight: ${first} }
        - { destination: { host: ${host}, subset: v2 }, weight: ${second} }
`
}

const denial = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: ${metadata('secrets')}
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }], to: [{ operation: { paths: [/secret*] } }] }]
`
