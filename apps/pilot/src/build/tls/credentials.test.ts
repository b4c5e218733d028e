import { DownstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { typeUrls } from '@weft/xds/types'
import { expect, test } from 'vitest'
import { type Credential, readCredential } from '../../credentials/credential.ts'
import { type Built, builtFrom, nodeOf } from '../../testing/built-for.ts'
import { serverCertificate } from '../../testing/server-certificate.ts'
import { snapshotOf } from '../../testing/snapshot-of.ts'

const config = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [shop.example], tls: { mode: MUTUAL, credentialName: shop } }
    - { port: { number: 444, name: two, protocol: HTTPS }, hosts: [two.example], tls: { mode: MUTUAL, credentialName: two, caCertCredentialName: clients } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: legacy, namespace: istio-system }
spec: { host: legacy.example, trafficPolicy: { tls: { mode: MUTUAL, credentialName: legacy } } }
`
const { chainPem, privateKeyPem, bundlePem } = await serverCertificate('shop.example')

function credential(namespace: string, name: string, entries: Record<string, string>): [string, Credential] {
  const read = readCredential(namespace, name, (entry) =>
    entries[entry] === undefined ? undefined : Buffer.from(entries[entry]),
  )
  return [`${namespace}/${name}`, read!]
}

const pair = { 'tls.crt': chainPem, 'tls.key': privateKeyPem }
const credentials = new Map([
  credential('istio-system', 'shop', { ...pair, 'ca.crt': bundlePem }),
  credential('istio-system', 'two', pair),
  credential('istio-system', 'clients', { 'ca.crt': bundlePem }),
  credential('istio-system', 'legacy', { ...pair, 'ca.crt': bundlePem }),
  credential('istio-system', 'unnamed', pair),
  credential('other', 'shop', pair),
])

function secretsFor(
  readsCredentials: boolean,
  namespace = 'istio-system',
  type: 'router' | 'sidecar' = 'router',
): [string[], Built] {
  const proxy = { ...nodeOf(type, { NAMESPACE: namespace, LABELS: { istio: 'ingressgateway' } }), readsCredentials }
  const built = builtFrom({ ...snapshotOf(config), credentials }, proxy)
  return [[...(built.view.resources.get(typeUrls.secret) ?? [])].map(({ name }) => name).sort(), built]
}

test('a gateway gets the credentials that its servers and calls name, of its own namespace', () => {
  const [names, { listeners }] = secretsFor(true)
  expect(names).toEqual([
    'kubernetes://clients-cacert',
    'kubernetes://legacy',
    'kubernetes://legacy-cacert',
    'kubernetes://shop',
    'kubernetes://shop-cacert',
    'kubernetes://two',
  ])
  const socket = listeners.get('0.0.0.0_444')?.filterChains[0]?.transportSocket?.configType?.value.value
  const tls = DownstreamTlsContext.decode(socket ?? Buffer.of()).commonTlsContext
  expect(tls?.tlsCertificateSdsSecretConfigs).toMatchObject([
    { name: 'kubernetes://two', sdsConfig: { configSourceSpecifier: { $case: 'ads' } } },
  ])
  expect(tls?.validationContextType).toMatchObject({
    value: { validationContextSdsSecretConfig: { name: 'kubernetes://clients-cacert' } },
  })
})

test('a namespace gets its own alone', () => {
  expect(secretsFor(true, 'other')[0]).toEqual(['kubernetes://shop'])
})

test('who may not read them gets none, whatever the proxy claims to be', () => {
  expect(secretsFor(false)[0]).toEqual([])
  expect(nodeOf('router', { readsCredentials: true }).readsCredentials).toBe(false)
})
