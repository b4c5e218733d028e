import { createHash } from 'node:crypto'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import type { Any } from '@weft/contracts/google/protobuf/any'

/** The names under which Envoy asks for its secrets. */
export const secretNames = {
  /** The caller's own key and certificate chain. */
  identity: 'default',
  /** Whom the caller may trust. */
  trust: 'ROOTCA',
} as const

export const secretTypeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'

/** A secret as it goes over the wire, with a version that changes with its content. */
export interface VersionedSecret {
  name: string
  version: string
  resource: Any
}

/** A key and its certificate chain. */
export function identitySecret(privateKeyPem: string, chainPem: string): VersionedSecret {
  return versioned(
    Secret.fromPartial({
      name: secretNames.identity,
      type: {
        $case: 'tlsCertificate',
        value: { certificateChain: inline(chainPem), privateKey: inline(privateKeyPem) },
      },
    }),
    chainPem,
  )
}

/** The trusted roots. */
export function trustSecret(bundlePem: string): VersionedSecret {
  return versioned(
    Secret.fromPartial({
      name: secretNames.trust,
      type: { $case: 'validationContext', value: { trustedCa: inline(bundlePem) } },
    }),
    bundlePem,
  )
}

/** The version is made from what is public, so that it may stand in logs and dumps. */
function versioned(secret: Secret, content: string): VersionedSecret {
  const version = createHash('sha256').update(content).digest('hex').slice(0, 16)
  return { name: secret.name, version, resource: { typeUrl: secretTypeUrl, value: Buffer.from(Secret.encode(secret).finish()) } }
}

function inline(text: string) {
  return { specifier: { $case: 'inlineBytes' as const, value: Buffer.from(text) } }
}
