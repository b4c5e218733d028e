/**
 * `npm run e2e -- install`: `weft install` against a real kube-apiserver. What it prints and applies is taken by it, again changes
 * nothing, and gives Citadel and Pilot the rights they need and no more: both run with them here, and Pilot's webhook injects.
 */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../image/bundle.ts'
import { installKubernetes } from '../kubernetes/install.ts'
import { KubernetesServer } from '../kubernetes/server.ts'
import { freePort, start, until, untilListening } from '../processes.ts'
import type { Scenario } from './scenario.ts'

const patienceMs = 120_000

export async function installScenario(scenario: Scenario): Promise<void> {
  const bin = installKubernetes()
  if (bin === undefined) return scenario.skip('all of it', 'there is no kube-apiserver here (WEFT_KUBE)')
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-install-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const server = await KubernetesServer.start({ bin })
  scenario.cleanup(() => server.stop())
  const weft = (...args: string[]): string =>
    execFileSync(process.execPath, [join(root, 'apps/weft/src/main.ts'), 'install', '--platform', 'kubernetes', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, KUBECONFIG: server.kubeconfig },
      maxBuffer: 64 << 20,
    })

  scenario.section('manifests')
  await scenario.attempt('kubectl applies what is printed; every field is known to the API server', async () => {
    const applied = await server.kubectl(['apply', '--server-side', '--validate=strict', '-f', '-'], weft())
    return `${applied.trim().split('\n').length} objects`
  })
  await scenario.attempt('a second time changes nothing, by kubectl, by --apply, or as the kustomize base', async () => {
    const kinds =
      'deployments,statefulsets,services,configmaps,clusterroles,roles,pdb,hpa,mutatingwebhookconfigurations,validatingwebhookconfigurations'
    const template = '{range .items[*]}{.kind}/{.metadata.name}={.metadata.generation}/{.metadata.resourceVersion} {end}'
    const versions = (): Promise<string> => server.kubectl(['get', kinds, '-A', '-o', `jsonpath=${template}`])
    const before = await versions()
    await server.kubectl(['apply', '--server-side', '-f', '-'], weft())
    await server.kubectl(['apply', '--server-side', '-k', join(root, 'deploy/kubernetes/base')])
    expectSame(before, await versions())
    weft('--apply', '--dry-run', '--set', 'pilot.autoscaleMax=9')
    expectSame(before, await versions())
    return undefined
  })
  await scenario.attempt('another revision comes beside it', async () => {
    const kinds = weft('--apply', '--revision', 'canary').trim().split('\n').length
    await server.kubectl(['get', 'deployment', 'pilot', 'pilot-canary', '-n', 'istio-system'])
    return `${kinds} objects`
  })

  scenario.section('credentials of a kubeconfig')
  const dryRun = (kubeconfig: string): string => weft('--apply', '--dry-run', '--kubeconfig', kubeconfig)
  const isRefused = (kubeconfig: string, words: RegExp): void => {
    try {
      dryRun(kubeconfig)
    } catch (error) {
      if (words.test(String(error))) return
      throw error
    }
    throw new Error('it was taken')
  }
  await scenario.attempt('a client certificate, as that user may', async () => {
    const { cert, key } = server.clientCertificate
    const kubeconfig = await server.writeKubeconfig('certificate', { 'client-certificate': cert, 'client-key': key })
    isRefused(kubeconfig, /403: .*User "client" cannot patch/)
    await server.kubectl(['create', 'clusterrolebinding', 'client', '--clusterrole=cluster-admin', '--user=client'])
    return `${dryRun(kubeconfig).trim().split('\n').length} objects`
  })
  await scenario.attempt('a credential plugin that gives a certificate, or a token', async () => {
    const apiVersion = 'client.authentication.k8s.io/v1'
    const output = join(folder, 'credential.json')
    const exec = { apiVersion, command: 'cat', args: [output], interactiveMode: 'Never' }
    const kubeconfig = await server.writeKubeconfig('plugin', { exec })
    const give = (status: object): Promise<void> =>
      writeFile(output, JSON.stringify({ apiVersion, kind: 'ExecCredential', status }))
    const { cert, key } = server.clientCertificate
    const [clientCertificateData, clientKeyData] = await Promise.all([readFile(cert, 'utf8'), readFile(key, 'utf8')])
    await give({ clientCertificateData, clientKeyData })
    dryRun(kubeconfig)
    await give({ token: 'wrong' })
    isRefused(kubeconfig, /401/)
    await give({ token: await server.tokenOf('istio-system', 'pilot') })
    isRefused(kubeconfig, /403: .*system:serviceaccount:istio-system:pilot/)
    return undefined
  })

  scenario.section('rights')
  const may = async (account: string, ...what: string[]): Promise<boolean> => {
    const asked = ['auth', 'can-i', ...what, '--as', `system:serviceaccount:istio-system:${account}`]
    return (await server.kubectl(asked).catch(() => 'no')).trim() === 'yes'
  }
  const rights: [string, boolean, string[]][] = [
    ['pilot', true, ['watch', 'endpointslices.discovery.k8s.io', '-A']],
    ['pilot', true, ['patch', 'virtualservices.networking.istio.io', '--subresource=status', '-n', 'shop']],
    ['pilot', false, ['update', 'virtualservices.networking.istio.io', '-n', 'shop']],
    ['pilot', true, ['patch', 'mutatingwebhookconfigurations/istio-sidecar-injector']],
    ['pilot', false, ['patch', 'mutatingwebhookconfigurations/another']],
    ['pilot', true, ['patch', 'validatingwebhookconfigurations/istio-validator-istio-system']],
    ['pilot', false, ['patch', 'validatingwebhookconfigurations/another']],
    // What Gateways name as credentialName.
    ['pilot', true, ['watch', 'secrets', '-A']],
    ['pilot', false, ['patch', 'secrets', '-n', 'istio-system']],
    ['pilot', true, ['patch', 'ingresses.networking.k8s.io', '--subresource=status', '-n', 'shop']],
    ['pilot', false, ['patch', 'ingresses.networking.k8s.io', '-n', 'shop']],
    ['citadel', true, ['create', 'tokenreviews.authentication.k8s.io']],
    ['citadel', true, ['patch', 'configmaps/istio-ca-root-cert', '-n', 'shop']],
    ['citadel', false, ['patch', 'configmaps/istio', '-n', 'istio-system']],
    ['citadel', false, ['list', 'pods', '-A']],
    ['mixer', false, ['get', 'configmaps', '-n', 'istio-system']],
  ]
  for (const [account, wanted, what] of rights) {
    scenario.check(
      `${account} ${wanted ? 'may' : 'may not'} ${what.join(' ')}`,
      (await may(account, ...what)) === wanted,
      undefined,
      'on',
    )
  }
  await controlPlane(scenario, server, folder)
}

/** Citadel and Pilot as processes with the tokens of their accounts: what they write into the cluster arrives. */
async function controlPlane(scenario: Scenario, server: KubernetesServer, folder: string): Promise<void> {
  scenario.section('Citadel and Pilot with these rights')
  const [citadelPort, citadelAdmin, pilotPort, pilotAdmin, webhookPort] = await Promise.all(Array.from({ length: 5 }, freePort))
  const rootCertFile = join(folder, 'root.pem')
  const run = async (name: string, port: number | undefined, args: string[]): Promise<void> => {
    const kubeconfig = await server.writeKubeconfig(name, await server.tokenOf('istio-system', name))
    const main = join(root, 'apps', name, 'src/main.ts')
    const child = start([process.execPath, main, ...args], { env: { ...process.env, KUBECONFIG: kubeconfig } })
    scenario.cleanup(() => child.stop(5_000))
    await untilListening(port ?? 0, child, '127.0.0.1', patienceMs)
  }
  await run('citadel', citadelPort, [
    ...['--grpc-address', `127.0.0.1:${citadelPort}`, '--admin-address', `127.0.0.1:${citadelAdmin}`],
    ...['--data-dir', join(folder, 'citadel'), '--root-cert-file', rootCertFile],
    // By the keys of the API server; the scenario kubernetes asks it about each token.
    ...['--kubernetes', 'offline', '--root-config-map', 'istio-ca-root-cert'],
  ])
  const roots = (): Promise<string> => readFile(rootCertFile, 'utf8')
  await scenario.attempt('Citadel keeps its roots in every namespace, a new one too', async () => {
    await server.kubectl(['create', 'namespace', 'shop'])
    const path = 'jsonpath={.data.root-cert\\.pem}'
    const read = (): Promise<string> =>
      server.kubectl(['get', 'configmap', 'istio-ca-root-cert', '-n', 'shop', '-o', path]).catch(() => '')
    const wanted = await roots()
    await until(async () => (await read()).trim() === wanted.trim(), 'the roots in the namespace shop', undefined, patienceMs)
    return undefined
  })
  // A token of Pilot's pod: only such a one stands for an identity.
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'pilot-0', namespace: 'istio-system', labels: { 'sidecar.istio.io/inject': 'false' } },
  }
  const spec = { serviceAccountName: 'pilot', containers: [{ name: 'pilot', image: 'weft/pilot' }] }
  await server.kubectl(['apply', '-f', '-'], JSON.stringify({ ...pod, spec }))
  const tokenFile = join(folder, 'pilot.token')
  await writeFile(tokenFile, await server.tokenOf('istio-system', 'pilot', { audiences: ['istio-ca'], pod: 'pilot-0' }))
  await run('pilot', webhookPort, [
    ...['--grpc-address', `127.0.0.1:${pilotPort}`, '--admin-address', `127.0.0.1:${pilotAdmin}`],
    ...['--webhook-address', `127.0.0.1:${webhookPort}`, '--webhook-dns-name', 'pilot.istio-system.svc'],
    ...['--citadel-address', `127.0.0.1:${citadelPort}`, '--root-cert-file', rootCertFile, '--join-token-file', tokenFile],
    ...['--registry', 'kubernetes', '--config-source', 'kubernetes'],
  ])
  const injector = ['mutatingwebhookconfiguration', 'istio-sidecar-injector']
  const validator = ['validatingwebhookconfiguration', 'istio-validator-istio-system']
  const bundles = async (): Promise<string[]> => {
    const get = (object: readonly string[]): Promise<string> =>
      server.kubectl(['get', ...object, '-o', 'jsonpath={.webhooks[*].clientConfig.caBundle}'])
    return [...(await get(injector)).split(' '), ...(await get(validator)).split(' ')]
  }
  await scenario.attempt(
    'Pilot writes the roots into its webhook configurations, and again when they are taken away',
    async () => {
      const wanted = Buffer.from(await roots()).toString('base64')
      const isWritten = async (): Promise<boolean> => {
        const written = await bundles()
        return written.length === 5 && written.every((bundle) => bundle === wanted)
      }
      await until(isWritten, 'the roots in all five webhooks', undefined, patienceMs)
      const taken = [{ op: 'remove', path: '/webhooks/2/clientConfig/caBundle' }]
      await server.kubectl(['patch', ...injector, '--type=json', '-p', JSON.stringify(taken)])
      await until(isWritten, 'the roots to be back', undefined, patienceMs)
      return undefined
    },
  )
}

function expectSame(before: string, after: string): void {
  if (before === after) return
  const old = new Set(before.split(' '))
  throw new Error(
    `changed: ${after
      .split(' ')
      .filter((each) => !old.has(each))
      .join(' ')}`,
  )
}
