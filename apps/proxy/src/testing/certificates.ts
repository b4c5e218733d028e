import { X509Certificate } from 'node:crypto'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { createCertificate, type Issuer, readIssuer, selfIssuer } from '@weft/identity/certificate'
import { bitString, integer, sequence, time, writeDer } from '@weft/identity/der'
import { createKeyPair, createSignature, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { algorithmIdentifier } from '@weft/identity/oids'
import { formatPem } from '@weft/identity/pem'
import type { ResourceUpdate } from '../threads.ts'

/** A certificate and its key, PEM. */
export interface IssuedCertificate {
  cert: string
  key: string
}

/** A root that tests issue workload certificates from. */
export class TestAuthority {
  readonly pem: string
  private readonly issuer: Issuer

  private constructor(pem: string, issuer: Issuer) {
    this.pem = pem
    this.issuer = issuer
  }

  /** One that signed itself, or that `above` signed. */
  static async create(commonName = 'test root', above?: TestAuthority): Promise<TestAuthority> {
    const keys = await createKeyPair()
    const spki = publicKeyDer(keys.publicKey)
    const subject = { commonName }
    const der = createCertificate(
      { subject, spki, names: {}, ...validity(), use: 'authority' },
      above?.issuer ?? selfIssuer(keys.privateKey, spki, subject),
    )
    return new TestAuthority(formatPem('CERTIFICATE', der), readIssuer(new X509Certificate(der).raw, keys.privateKey))
  }

  /** A key and a certificate for a SPIFFE id. */
  async issue(uri: string, more: { notAfter?: Date } = {}): Promise<IssuedCertificate> {
    const keys = await createKeyPair()
    const der = createCertificate(
      { subject: {}, spki: publicKeyDer(keys.publicKey), names: { uris: [uri] }, ...validity(), use: 'workload', ...more },
      this.issuer,
    )
    return { cert: formatPem('CERTIFICATE', der), key: privateKeyPem(keys.privateKey) }
  }

  /** A list (RFC 5280 section 5) on which these certificates are revoked. `nextUpdate`: in an hour without. */
  revocationList(revoked: readonly X509Certificate[], nextUpdate = validity().notAfter): string {
    const { signer, name } = this.issuer
    const algorithm = algorithmIdentifier(signer.algorithm)
    const since = time(validity().notBefore)
    const entries = revoked.map(({ serialNumber }) => sequence(integer(Buffer.from(serialNumber, 'hex')), since))
    const body = sequence(
      integer(Buffer.of(1)),
      algorithm,
      name,
      since,
      time(nextUpdate),
      ...(entries.length === 0 ? [] : [sequence(...entries)]),
    )
    return formatPem('X509 CRL', writeDer(sequence(body, algorithm, bitString(createSignature(writeDer(body), signer)))))
  }

  /** The `ROOTCA` secret. */
  trustSecret(name = 'ROOTCA'): ResourceUpdate {
    const secret = Secret.fromPartial({
      name,
      type: { $case: 'validationContext', value: { trustedCa: { specifier: { $case: 'inlineString', value: this.pem } } } },
    })
    return { kind: 'secret', name, bytes: Secret.encode(secret).finish() }
  }
}

function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
}

/** A key-and-certificate secret. */
export function certificateSecret(name: string, { cert, key }: IssuedCertificate): ResourceUpdate {
  const secret = Secret.fromPartial({
    name,
    type: {
      $case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { $case: 'inlineString', value: cert } },
        privateKey: { specifier: { $case: 'inlineString', value: key } },
      },
    },
  })
  return { kind: 'secret', name, bytes: Secret.encode(secret).finish() }
}
