import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DiscoveryRequest,
  type DiscoveryResponse,
} from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { SecretDiscoveryServiceClient } from '@weft/contracts/envoy/service/secret/v3/sds'
import { parseCertificates, verifyChain } from '@weft/identity/verify'
import { unary } from '@weft/service/grpc'
import { until } from '@weft/service/testing/until'
import { expect, it, onTestFinished } from 'vitest'
import { startTestCitadel, type TestCitadel, testFolder } from '../../testing.ts'
import { secretTypeUrl } from './secret.ts'

const alice = 'spiffe://cluster.local/ns/default/sa/alice'

async function start(
  flags?: Parameters<typeof startTestCitadel>[1],
): Promise<{ citadel: TestCitadel; client: SecretDiscoveryServiceClient }> {
  const citadel = await startTestCitadel(await testFolder(), flags)
  onTestFinished(() => citadel.lifecycle.stop('end of test'))
  const client = new SecretDiscoveryServiceClient(citadel.grpc, credentials.createSsl(await readFile(citadel.rootCertFile)))
  onTestFinished(() => client.close())
  return { citadel, client }
}

function bearer(token: string): Metadata {
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token}`)
  return metadata
}

/** Collects what a stream brings. */
function follow<Request, Response>(stream: ClientDuplexStream<Request, Response>) {
  const followed: { responses: Response[]; error: ServiceError | undefined } = { responses: [], error: undefined }
  stream.on('data', (response: Response) => followed.responses.push(response))
  stream.on('error', (error: ServiceError) => {
    followed.error = error
  })
  onTestFinished(() => stream.cancel())
  return followed
}

const request = (resourceNames: string[], responseNonce = '') =>
  DiscoveryRequest.fromPartial({ resourceNames, typeUrl: secretTypeUrl, responseNonce })

function secretsOf({ resources }: Pick<DiscoveryResponse, 'resources'>): Map<string, Secret> {
  return new Map(resources.map(({ value }) => Secret.decode(value)).map((secret) => [secret.name, secret]))
}

function inlineOf(source: { specifier?: { $case: string; value: unknown } | undefined } | undefined): string {
  const value = source?.specifier?.value
  return Buffer.isBuffer(value) ? value.toString() : ''
}

/** The identity of a `default` secret, after checking that key, chain and bundle fit together. */
function identityIn(secrets: Map<string, Secret>, bundlePem: string): string {
  const type = secrets.get('default')?.type
  if (type?.$case !== 'tlsCertificate') throw new Error('there is no default secret')
  const chain = parseCertificates(inlineOf(type.value.certificateChain), 'chain')
  const { uri } = verifyChain(chain, parseCertificates(bundlePem, 'bundle'), new Date())
  const key = inlineOf(type.value.privateKey)
  expect(key).toContain('PRIVATE KEY')
  return uri
}

it('gives a stream its key, chain and trust bundle, and new ones while it stays', async () => {
  const { citadel, client } = await start({ workloadTtl: 2 })
  const stream = client.streamSecrets(bearer(await citadel.mint(alice)))
  const followed = follow(stream)
  stream.write(request(['default', 'ROOTCA']))
  await until(() => followed.responses.length > 0, 'the first secrets')
  const [first] = followed.responses
  if (first === undefined) throw new Error('no response')
  const secrets = secretsOf(first)
  const trust = secrets.get('ROOTCA')?.type
  const bundle = trust?.$case === 'validationContext' ? inlineOf(trust.value.trustedCa) : ''
  expect(bundle).toBe(await readFile(citadel.rootCertFile, 'utf8'))
  expect(identityIn(secrets, bundle)).toBe(alice)
  stream.write(request(['default', 'ROOTCA'], first.nonce))
  await until(() => followed.responses.length >= 3, 'two rotations')
  const later = followed.responses.slice(1).map((response) => [response.versionInfo, [...secretsOf(response).keys()]])
  expect(later.map(([, names]) => names)).toEqual([['default'], ['default']])
  expect(new Set([first.versionInfo, ...later.map(([version]) => version)]).size).toBe(3)
  expect(await citadel.metric('weft_citadel_sds_answers_total{answer="ack"}')).toBe(1)
})

it('gives each stream a key of its own', async () => {
  const { citadel, client } = await start()
  const token = await citadel.mint(alice)
  const keys = await Promise.all(
    [0, 1].map(async () => {
      const stream = client.streamSecrets(bearer(token))
      const followed = follow(stream)
      stream.write(request(['default']))
      await until(() => followed.responses.length > 0, 'a secret')
      const type = secretsOf(followed.responses[0] ?? { resources: [] }).get('default')?.type
      return type?.$case === 'tlsCertificate' ? inlineOf(type.value.privateKey) : ''
    }),
  )
  expect(keys[0]).not.toBe('')
  expect(keys[0]).not.toBe(keys[1])
})

it('counts a NACK, sends nothing again for it, and adds a secret that is asked for later', async () => {
  const { citadel, client } = await start()
  const stream = client.streamSecrets(bearer(await citadel.mint(alice)))
  const followed = follow(stream)
  stream.write(request(['ROOTCA']))
  await until(() => followed.responses.length === 1, 'the bundle')
  const nonce = followed.responses[0]?.nonce ?? ''
  stream.write({
    ...request(['ROOTCA'], nonce),
    errorDetail: { code: status.INVALID_ARGUMENT, message: 'no such cipher', details: [] },
  })
  await until(async () => (await citadel.metric('weft_citadel_sds_answers_total{answer="nack"}')) === 1, 'the NACK')
  stream.write(request(['ROOTCA', 'default'], 'a nonce of another time'))
  stream.write(request(['ROOTCA', 'default'], nonce))
  await until(() => followed.responses.length === 2, 'the identity')
  expect([...secretsOf(followed.responses[1] ?? { resources: [] }).keys()]).toEqual(['default'])
})

it('ends a stream whose token does not hold, saying what to do', async () => {
  const { client } = await start()
  const stream = client.streamSecrets(bearer('nonsense'))
  const followed = follow(stream)
  stream.write(request(['default']))
  await until(() => followed.error !== undefined, 'the end')
  expect(followed.error?.code).toBe(status.UNAUTHENTICATED)
  expect(followed.error?.details).toContain('weft ca token')
})

it('ends a stream that asks for another type or for too much', async () => {
  const { citadel, client } = await start()
  const token = await citadel.mint(alice)
  for (const bad of [
    { ...request(['x']), typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' },
    request(Array.from({ length: 101 }, (_, index) => `name-${index}`)),
  ]) {
    const stream = client.streamSecrets(bearer(token))
    const followed = follow(stream)
    stream.write(bad)
    await until(() => followed.error !== undefined, 'the end')
    expect(followed.error?.code).toBe(status.INVALID_ARGUMENT)
  }
  await until(async () => (await citadel.metric('weft_citadel_sds_streams')) === 0, 'streams are given back')
})

it('serves the delta variant: secrets one by one, unknown ones as removed', async () => {
  const { citadel, client } = await start({ workloadTtl: 2 })
  const stream = client.deltaSecrets(bearer(await citadel.mint(alice)))
  const followed: { responses: DeltaDiscoveryResponse[] } = follow(stream)
  stream.write(
    DeltaDiscoveryRequest.fromPartial({ typeUrl: secretTypeUrl, resourceNamesSubscribe: ['default', 'ROOTCA', 'other'] }),
  )
  await until(() => followed.responses.length >= 3, 'secrets and a rotation')
  const [removed, first, second] = followed.responses
  expect(removed?.removedResources).toEqual(['other'])
  expect(first?.resources.map(({ name }) => name)).toEqual(['default', 'ROOTCA'])
  expect(second?.resources.map(({ name }) => name)).toEqual(['default'])
  expect(second?.resources[0]?.version).not.toBe(first?.resources[0]?.version)
})

it('answers a fetch', async () => {
  const { citadel, client } = await start()
  const response = await unary(
    client.fetchSecrets.bind(client),
    request(['default', 'ROOTCA']),
    5_000,
    bearer(await citadel.mint(alice)),
  )
  expect(identityIn(secretsOf(response), await readFile(citadel.rootCertFile, 'utf8'))).toBe(alice)
  expect(new X509Certificate(await readFile(citadel.rootCertFile)).ca).toBe(true)
})
