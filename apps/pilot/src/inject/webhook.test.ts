import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { CertificateHolder, type IdentityMaterial } from '@weft/identity/certificate-holder'
import { injectionSettings } from '@weft/inject/settings'
import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLifecycle } from '@weft/service/lifecycle'
import { createLogger } from '@weft/service/logger'
import { createRegistry } from '@weft/service/metrics'
import { expect, onTestFinished, test, vi } from 'vitest'
import { serverCertificate } from '../testing/server-certificate.ts'
import { keepCaBundles } from './ca-bundle.ts'
import { followSettings } from './settings-file.ts'
import { startWebhook } from './webhook.ts'

const serviceName = 'pilot.istio-system.svc'
const logger = createLogger('webhook-test', 'fatal')

async function webhookWith(first: IdentityMaterial) {
  const lifecycle = createLifecycle('webhook-test', logger)
  onTestFinished(() => lifecycle.stop('end of test'))
  const holder = new CertificateHolder()
  const identity = { ready: () => holder.first(), onChange: holder.onChange.bind(holder), current: () => holder.current() }
  const registry = createRegistry('pilot', 'test')
  const settings = async () => injectionSettings()
  const starting = startWebhook({ address: '127.0.0.1:0', identity, settings, lifecycle, logger, registry })
  holder.set(first)
  return { url: await starting, holder, identity, registry, lifecycle }
}

async function ask(url: string, ca: string, body: string, contentType = 'application/json') {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const headers = { 'content-type': contentType }
    const sent = request(
      `${url}/inject?timeout=10s`,
      { method: 'POST', ca, servername: serviceName, agent: false, headers },
      (response) => {
        text(response).then((answer) => resolve({ status: response.statusCode, body: answer }), reject)
      },
    )
    sent.on('error', reject).end(body)
  })
}

const review = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u', namespace: 'shop', object: { spec: { containers: [{ name: 'app' }] } } },
})

test('the webhook answers over TLS under its name, and with a new certificate when that is rotated', async () => {
  const [first, second] = [await serverCertificate(serviceName), await serverCertificate(serviceName)]
  const { url, holder, registry } = await webhookWith(first)
  const answer = await ask(url, first.bundlePem, review)
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.body)).toMatchObject({ response: { uid: 'u', allowed: true, patchType: 'JSONPatch' } })
  holder.set(second)
  expect((await ask(url, second.bundlePem, review)).status).toBe(200)
  await expect(ask(url, first.bundlePem, review)).rejects.toThrow(/certificate|self-signed/)
  expect(await registry.metrics()).toContain('weft_pilot_injections_total{outcome="injected"} 2')
})

test('what is no review is answered with an error, and the next one is served', async () => {
  const certificate = await serverCertificate(serviceName)
  const { url } = await webhookWith(certificate)
  expect(await ask(url, certificate.bundlePem, '{}')).toMatchObject({ status: 400, body: /not an AdmissionReview/ })
  expect(await ask(url, certificate.bundlePem, '{')).toMatchObject({ status: 400 })
  expect(await ask(url, certificate.bundlePem, review, 'text/html')).toMatchObject({ status: 415 })
  expect(await ask(url, certificate.bundlePem, `"${'x'.repeat(7 << 20)}"`).catch(() => ({ status: 413 }))).toMatchObject({
    status: 413,
  })
  expect(await ask(url, certificate.bundlePem, review)).toMatchObject({ status: 200 })
})

test.for([
  ['mutatingwebhookconfigurations', 'sidecar-injector'],
  ['validatingwebhookconfigurations', 'config-validator'],
] as const)('the roots are written into %s of the revision, again after a change and a rotation', async ([plural, app]) => {
  const server = await StubApiServer.start()
  onTestFinished(() => server.stop())
  const client = new KubernetesClient(accessTo(server.url))
  onTestFinished(() => client.close())
  const path = `/apis/admissionregistration.k8s.io/v1/${plural}`
  const configuration = (caBundle?: string) => ({
    metadata: { name: 'injector', labels: { app, 'istio.io/rev': 'canary' } },
    webhooks: ['a', 'b'].map((name) => ({
      name,
      clientConfig: { service: { name: 'pilot' }, ...(caBundle ? { caBundle } : {}) },
    })),
  })
  await client.call({ method: 'POST', path, body: configuration() })
  const [first, second] = [await serverCertificate(serviceName), await serverCertificate(serviceName)]
  const { holder, identity, lifecycle } = await webhookWith(first)
  keepCaBundles({ client, identity, revision: 'canary', lifecycle, logger })
  const written = async (): Promise<string> => JSON.stringify(await client.call({ path: `${path}/injector` }))
  const bundle = (material: IdentityMaterial): string => Buffer.from(material.bundlePem).toString('base64')
  await vi.waitFor(async () => expect(await written()).toContain(bundle(first)), 15_000)
  holder.set(second)
  await vi.waitFor(async () => expect((await written()).split(bundle(second))).toHaveLength(3), 15_000)
  await client.call({ method: 'PUT', path: `${path}/injector`, body: configuration('bm9uZQ==') })
  await vi.waitFor(async () => expect((await written()).split(bundle(second))).toHaveLength(3), 15_000)
  expect(await written()).toContain('"service":{"name":"pilot"}')
})

test('settings are read again when their file is replaced; a broken one changes nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-webhook-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const values = join(folder, 'values')
  await writeFile(values, 'global: {hub: one}')
  const settings = await followSettings({ values, nativeSidecars: true, revision: 'r' }, logger)
  const hub = async (): Promise<string> => (await settings()).values.global.hub
  expect(await hub()).toBe('one')
  await writeFile(values, 'global: {hub: {}}')
  expect(await hub()).toBe('one')
  await writeFile(values, 'global: {hub: "two"}  ')
  expect(await hub()).toBe('two')
  await expect(followSettings({ values: join(folder, 'no'), nativeSidecars: true }, logger)).rejects.toThrow(/ENOENT/)
})
