import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { type ChannelCredentials, experimental, type ServerCredentials } from '@grpc/grpc-js'
import type { CertificateHolder, IdentityMaterial } from './certificate-holder.ts'
import { spiffeIdOf } from './verify.ts'

type CertificateProvider = experimental.CertificateProvider

/** Whom a client expects at the other end: SPIFFE ids, or a rule over one. */
export type ExpectedPeer = string | readonly string[] | ((spiffeId: string) => boolean)

/**
 * Server credentials that follow the holder: connections made from now on get its newest certificate, established ones go
 * on. Client certificates are verified against the trust bundle; `optional` lets a client without one in (its
 * `peerIdentity` is undefined), `required` does not. Until there is a certificate, connections are closed at once.
 */
export function rotatingServerCredentials(
  holder: CertificateHolder,
  clientCertificate: 'required' | 'optional',
): ServerCredentials {
  const provider = providerOf(holder)
  return experimental.createCertificateProviderServerCredentials(provider, provider, clientCertificate === 'required')
}

/**
 * Channel credentials that follow the holder, with its certificate as client certificate. The server's certificate has to
 * chain to the trust bundle and its SPIFFE id to be expected; its host name plays no part. Until there is a certificate,
 * calls wait.
 */
export function rotatingChannelCredentials(holder: CertificateHolder, expected: ExpectedPeer): ChannelCredentials {
  const provider = providerOf(holder)
  return experimental.createCertificateProviderChannelCredentials(provider, provider, {
    checkServerIdentity: peerCheck(expected),
  })
}

/** For `tls.connect` and grpc-js: an error when the server's SPIFFE id is not expected. The chain is TLS's to verify. */
export function peerCheck(expected: ExpectedPeer): (host: string, certificate: PeerCertificate) => Error | undefined {
  const isExpected =
    typeof expected === 'function'
      ? expected
      : (id: string) => (typeof expected === 'string' ? expected === id : expected.includes(id))
  return (host, certificate) => {
    try {
      const { uri } = spiffeIdOf(new X509Certificate(certificate.raw))
      return isExpected(uri) ? undefined : new Error(`the server at ${host} is ${uri}, which is not expected there`)
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }
}

/** grpc-js's view of a holder. Listeners are told in a later tick: it registers its own watcher only after adding us. */
function providerOf(holder: CertificateHolder): CertificateProvider {
  const ends = new Map<unknown, () => void>()
  const follow = (key: unknown, tell: (material: IdentityMaterial) => void): void => {
    const end = holder.onChange(tell)
    ends.set(key, end)
    process.nextTick(() => {
      const current = holder.current()
      if (current !== undefined && ends.get(key) === end) tell(current)
    })
  }
  const unfollow = (key: unknown): void => {
    ends.get(key)?.()
    ends.delete(key)
  }
  return {
    addCaCertificateListener: (listener) =>
      follow(listener, ({ bundlePem }) => listener({ caCertificate: Buffer.from(bundlePem) })),
    removeCaCertificateListener: unfollow,
    addIdentityCertificateListener: (listener) =>
      follow(listener, ({ chainPem, privateKeyPem }) =>
        listener({ certificate: Buffer.from(chainPem), privateKey: Buffer.from(privateKeyPem) }),
      ),
    removeIdentityCertificateListener: unfollow,
  }
}
