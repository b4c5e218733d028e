import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { SecretDiscoveryServiceService } from '@weft/contracts/envoy/service/secret/v3/sds'
import { createCertificate, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { formatPem } from '@weft/identity/pem'
import { createResource } from '@weft/xds/cache/resource'
import { ResourceSet } from '@weft/xds/cache/resource-set'
import { createXdsService } from '@weft/xds/server/server'
import { typeUrls } from '@weft/xds/types'
import { parseNode } from '../scope/parse-node.ts'

/**
 * For tests: SDS as Citadel has it, but for whoever asks: `default` is a certificate for the identity that the node
 * claims, `ROOTCA` the root. Gives its port and what ends it.
 */
export async function startFakeSecrets(): Promise<{ port: number; close(): void }> {
  const root = await createKeyPair()
  const rootKey = publicKeyDer(root.publicKey)
  const subject = { organization: 'test' }
  const issuer = selfIssuer(root.privateKey, rootKey, subject)
  const lifetime = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
  const rootPem = formatPem(
    'CERTIFICATE',
    createCertificate({ subject, spki: rootKey, names: {}, use: 'authority', ...lifetime }, issuer),
  )
  const leaf = await createKeyPair()

  const inline = (value: string) => ({ specifier: { $case: 'inlineString' as const, value } })
  const secretsFor = (uri: string): ResourceSet => {
    const der = createCertificate(
      { subject: {}, spki: publicKeyDer(leaf.publicKey), names: { uris: [uri] }, use: 'workload', ...lifetime },
      issuer,
    )
    const certificate = Secret.fromPartial({
      name: 'default',
      type: {
        $case: 'tlsCertificate',
        value: { certificateChain: inline(formatPem('CERTIFICATE', der)), privateKey: inline(privateKeyPem(leaf.privateKey)) },
      },
    })
    const trust = Secret.fromPartial({
      name: 'ROOTCA',
      type: { $case: 'validationContext', value: { trustedCa: inline(rootPem) } },
    })
    return ResourceSet.of(
      [certificate, trust].map((secret) => createResource(typeUrls.secret, secret.name, Secret.encode(secret).finish())),
    )
  }
  const service = createXdsService({
    connect: ({ node, stream }) => {
      const { namespace, serviceAccount } = parseNode(node)
      const uri = `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount || 'default'}`
      stream.update(new Map([[typeUrls.secret, secretsFor(uri)]]))
      return {}
    },
  })
  const definition: ServiceDefinition = {
    streamSecrets: {
      ...service.definition['streamAggregatedResources']!,
      path: SecretDiscoveryServiceService.streamSecrets.path,
    },
    deltaSecrets: { ...service.definition['deltaAggregatedResources']!, path: SecretDiscoveryServiceService.deltaSecrets.path },
  }
  const server = new Server()
  server.addService(definition, {
    streamSecrets: service.implementation['streamAggregatedResources']!,
    deltaSecrets: service.implementation['deltaAggregatedResources']!,
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  return {
    port,
    close: () => {
      service.close()
      server.forceShutdown()
    },
  }
}
