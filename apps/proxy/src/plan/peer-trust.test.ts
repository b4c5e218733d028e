import { X509Certificate } from 'node:crypto'
import { CertificateValidationContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { beforeAll, describe, expect, it } from 'vitest'
import { TestAuthority } from '../testing/certificates.ts'
import { type PeerProblem, peerProblem } from './peer-trust.ts'
import { compileValidation } from './tls-material.ts'

const inline = (text: string) => ({ specifier: { $case: 'inlineString' as const, value: text } })
const past = new Date(Date.now() - 30_000)

let root: TestAuthority
let below: TestAuthority
let other: TestAuthority
beforeAll(async () => {
  root = await TestAuthority.create()
  below = await TestAuthority.create('below', root)
  other = await TestAuthority.create()
})

const issued = async (by: TestAuthority, notAfter?: Date): Promise<X509Certificate> => {
  const { cert } = await by.issue('spiffe://test/a', notAfter === undefined ? {} : { notAfter })
  return new X509Certificate(cert)
}

/** What is wrong with a certificate, and what it came with, where `root` is trusted. */
function problem(
  certificate: X509Certificate,
  said: string,
  context: Parameters<typeof CertificateValidationContext.fromPartial>[0],
  sent: readonly TestAuthority[] = [],
): PeerProblem | null {
  const validation = compileValidation(
    CertificateValidationContext.fromPartial({ trustedCa: inline(root.pem), ...context }),
    'test',
  )
  return peerProblem({ certificate, said, sent: () => sent.map(({ pem }) => new X509Certificate(pem)) }, validation)
}

describe('whom a peer is trusted by', () => {
  it('is what OpenSSL says, where nothing more is asked', async () => {
    expect(problem(await issued(root), '', {})).toBeNull()
    expect(problem(await issued(other), 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', {})?.text).toBe(
      'X509_verify_cert: certificate verification error at depth 0: unable to get local issuer certificate',
    )
  })

  it('is found out though a certificate has expired, where that does not count', async () => {
    const allowed = { allowExpiredCertificate: true }
    expect(problem(await issued(root, past), 'CERT_HAS_EXPIRED', {})?.lacks).toBe('trust')
    expect(problem(await issued(root, past), 'CERT_HAS_EXPIRED', allowed)).toBeNull()
    expect(problem(await issued(below, past), 'CERT_HAS_EXPIRED', allowed, [below])).toBeNull()
    // OpenSSL tells the last problem only: behind the date hides that nobody trusted signed it.
    expect(problem(await issued(other, past), 'CERT_HAS_EXPIRED', allowed)?.lacks).toBe('trust')
    expect(problem(await issued(other, past), 'CERT_HAS_EXPIRED', allowed, [other])?.lacks).toBe('trust')
    expect(problem(await issued(below, past), 'CERT_HAS_EXPIRED', allowed)?.lacks).toBe('trust')
  })

  it('is nobody for an expired certificate that is revoked too', async () => {
    const gone = await issued(root, past)
    const context = { allowExpiredCertificate: true, crl: inline(root.revocationList([gone])) }
    expect(problem(gone, 'CERT_HAS_EXPIRED', context)?.text).toMatch(/certificate revoked$/)
    expect(problem(await issued(root, past), 'CERT_HAS_EXPIRED', context)).toBeNull()
  })

  it('is not too far above', async () => {
    for (const maxVerifyDepth of [0, 1]) expect(problem(await issued(root), '', { maxVerifyDepth })).toBeNull()
    expect(problem(await issued(below), '', { maxVerifyDepth: 1 }, [below])?.text).toMatch(
      /at depth 1: unable to get local issuer certificate$/,
    )
    expect(problem(await issued(below), '', { maxVerifyDepth: 2 }, [below])).toBeNull()
  })
})

describe("lists that count for a peer's own certificate alone", () => {
  const leafOnly = (crl: string) => ({ onlyVerifyLeafCertCrl: true, crl: inline(crl) })

  it('name those that are revoked, as who signed it says', async () => {
    const [good, bad] = [await issued(below), await issued(below)]
    const crl = below.revocationList([bad])
    expect(problem(good, '', leafOnly(crl), [below])).toBeNull()
    expect(problem(bad, '', leafOnly(crl), [below])?.text).toMatch(/certificate revoked$/)
    expect(problem(bad, '', leafOnly(root.revocationList([])), [below])?.text).toMatch(/unable to get certificate CRL$/)
    expect(problem(bad, '', leafOnly(root.revocationList([]) + crl), [below])?.text).toMatch(/certificate revoked$/)
  })

  it('have to be signed by the authority that they name, and be of now', async () => {
    const certificate = await issued(root)
    // Another authority of the same name.
    expect(problem(certificate, '', leafOnly(other.revocationList([])))?.text).toMatch(/CRL signature failure$/)
    expect(problem(certificate, '', leafOnly(root.revocationList([], past)))?.text).toMatch(/CRL has expired$/)
  })

  it('are refused where they cannot be read', () => {
    for (const text of ['', 'nothing', '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n'])
      expect(() =>
        compileValidation(CertificateValidationContext.fromPartial({ trustedCa: inline(root.pem), crl: inline(text) }), 'test'),
      ).toThrow(/revoked certificates/)
  })
})
