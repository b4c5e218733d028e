import { DownstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { typeUrls } from '@weft/xds/types'
import { expect, test } from 'vitest'
import { type Credential, credentialKey, readCredential } from '../../credentials/credential.ts'
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

function credential(
  namespace: string,
  name: string,
  entries: Record<string, string>,
  serviceAccount?: string,
): [string, Credential] {
  const read = readCredential({ namespace, name, serviceAccount }, (entry) =>
    entries[entry] === undefined ? undefined : Buffer.from(entries[entry]),
  )
  return [credentialKey(namespace, serviceAccount, name), read!]
}

const pair = { 'tls.crt': chainPem, 'tls.key': privateKeyPem }
const credentials = new Map([
  credential('istio-system', 'shop', { ...pair, 'ca.crt': bundlePem }),
  credential('istio-system', 'two', pair),
  credential('istio-system', 'clients', { 'ca.crt': bundlePem }),
  credential('istio-system', 'legacy', { ...pair, 'ca.crt': bundlePem }),
  credential('istio-system', 'unnamed', pair),
  credential('other', 'shop', pair),
  credential('accounts', 'shop', pair),
  credential('accounts', 'shop', { ...pair, 'ca.crt': bundlePem }, 'gateway'),
  credential('accounts', 'two', pair, 'gateway'),
  credential('accounts', 'gateway/two', pair, 'other'),
])

function secretsFor(
  credentialAccount: string | undefined,
  namespace = 'istio-system',
  type: 'router' | 'sidecar' = 'router',
  yaml = config,
): [string[], Built] {
  const proxy = { ...nodeOf(type, { NAMESPACE: namespace, LABELS: { istio: 'ingressgateway' } }), credentialAccount }
  const built = builtFrom({ ...snapshotOf(yaml), credentials }, proxy)
  return [[...(built.view.resources.get(typeUrls.secret) ?? [])].map(({ name }) => name).sort(), built]
}

test('a gateway gets the credentials that its servers and calls name, of its own namespace', () => {
  const [names, { listeners }] = secretsFor('gateway')
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
  expect(secretsFor('gateway', 'other')[0]).toEqual(['kubernetes://shop'])
})

test('who may not read them gets none, whatever the proxy claims to be', () => {
  expect(secretsFor(undefined)[0]).toEqual([])
  const claims = { credentialAccount: 'gateway', SERVICE_ACCOUNT: 'gateway' }
  expect(nodeOf('router', claims).credentialAccount).toBeUndefined()
})

test('an account gets what is for it alone before what is for all of its namespace, and nothing of another account', () => {
  expect(secretsFor('gateway', 'accounts')[0]).toEqual(['kubernetes://shop', 'kubernetes://shop-cacert', 'kubernetes://two'])
  expect(secretsFor('other', 'accounts')[0]).toEqual(['kubernetes://shop'])
  const named = config.replaceAll('credentialName: two', 'credentialName: gateway/two')
  expect(secretsFor('another', 'accounts', 'router', named)[0]).toEqual(['kubernetes://shop'])
})
