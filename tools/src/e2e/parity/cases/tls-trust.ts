import { readFileSync } from 'node:fs'
import type { Message } from '../bootstrap.ts'
import { type ClientTurn, group, type ParityCase, type TlsTurn } from '../case.ts'
import { certificates } from '../certificates.ts'
import { by, closes, mutual, required, san, upstream } from '../tls-bootstrap.ts'

const file = (filename: string): Message => ({ filename })

type Client = NonNullable<TlsTurn['certificate']>

/** Some are let in; the others are turned away. */
function clients(welcome: readonly Client[], others: readonly Client[] = []): ClientTurn[] {
  return [...welcome.map((certificate) => by({ certificate })), ...others.map((certificate) => closes({ certificate }))]
}

const crl = (...which: ('revocations' | 'deepRevocations')[]): Message => ({
  crl: { inline_string: which.map((one) => readFileSync(certificates()[one], 'utf8')).join('') },
})

const cases: ParityCase[] = [
  mutual('depth', () => ({}), required, clients(['deep', 'client'], ['deepAlone'])),
  mutual('depth-0', () => ({ max_verify_depth: 0 }), required, clients(['client'], ['deep'])),
  // Those who sign others' certificates are trusted themselves: a server of ours sees no others.
  ...[1, 2].map((depth) =>
    mutual(
      `depth-${depth}-all-trusted`,
      () => ({
        trusted_ca: {
          inline_string: [certificates().ca, certificates().intermediate.cert].map((path) => readFileSync(path, 'utf8')).join(''),
        },
        max_verify_depth: depth,
      }),
      required,
      clients(['client', 'deep']),
    ),
  ),
  mutual('depth-2', () => ({ max_verify_depth: 2 }), required, clients(['deep', 'client'])),
  mutual('depth-1', () => ({ max_verify_depth: 1 }), required, clients(['deep', 'client'])),
  mutual('expired', () => ({}), required, clients(['client'], ['expired'])),
  mutual(
    'expired-allowed',
    () => ({ allow_expired_certificate: true }),
    required,
    clients(['expired'], ['stranger', 'expiredStranger']),
  ),
  mutual('revoked', () => crl('revocations'), required, clients(['client'], ['revoked', 'stranger'])),
  mutual('revoked-below', () => crl('revocations'), required, clients(['client'], ['deep'])),
  mutual('revoked-below-told', () => crl('revocations', 'deepRevocations'), required, clients(['deep', 'client'], ['revoked'])),
  mutual(
    'revoked-leaf-only',
    () => ({ ...crl('deepRevocations'), only_verify_leaf_cert_crl: true }),
    required,
    clients(['deep'], ['client']),
  ),
  mutual(
    'revoked-leaf-only-root',
    () => ({ ...crl('revocations'), only_verify_leaf_cert_crl: true }),
    required,
    clients(['client'], ['deep', 'revoked']),
  ),
  mutual(
    'revoked-expired-allowed',
    () => ({ ...crl('revocations'), allow_expired_certificate: true }),
    required,
    clients(['expired'], ['revoked']),
  ),
  mutual(
    'revoked-untrusted-accepted',
    () => ({ ...crl('revocations'), trust_chain_verification: 'ACCEPT_UNTRUSTED' }),
    required,
    clients(['revoked', 'client']),
  ),
  mutual(
    'anyone-of-a-name',
    () => ({ ...san('DNS', { exact: 'client.test' }), trust_chain_verification: 'ACCEPT_UNTRUSTED' }),
    required,
    clients(['stranger', 'client', 'named']),
  ),
  mutual('san-email', () => san('EMAIL', { exact: 'user@test' }), required, clients(['named'], ['client'])),
  mutual('san-ip', () => san('IP_ADDRESS', { exact: '10.1.2.3' }), required, clients(['named'], ['client'])),
  mutual('san-ip-prefix', () => san('IP_ADDRESS', { prefix: '10.1.' }), required, clients(['named'])),
  mutual(
    'san-other',
    () => ({
      match_typed_subject_alt_names: [{ san_type: 'OTHER_NAME', oid: '1.3.6.1.4.1.311.20.2.3', matcher: { exact: 'user@test' } }],
    }),
    required,
    clients(['named'], ['client']),
  ),
  mutual(
    'san-other-oid',
    () => ({ match_typed_subject_alt_names: [{ san_type: 'OTHER_NAME', oid: '1.2.3.4', matcher: { exact: 'user@test' } }] }),
    required,
    clients([], ['named']),
  ),
  mutual('san-dns-ignores-case', () => san('DNS', { exact: 'CLIENT.test' }), required, clients([], ['client'])),
  mutual('san-dns-ignoring-case', () => san('DNS', { exact: 'CLIENT.test', ignore_case: true }), required, clients(['client'])),
  mutual(
    'san-one-of-two',
    () => san('DNS', { exact: 'x' }, { san_type: 'EMAIL', matcher: { suffix: '@test' } }),
    required,
    clients(['named'], ['client']),
  ),
  mutual(
    'intermediate-trusted',
    () => ({ trusted_ca: file(certificates().intermediate.cert) }),
    required,
    clients(['deep', 'deepAlone'], ['client']),
  ),
  upstream('upstream-revoked', () => ({
    common_tls_context: { validation_context: { trusted_ca: file(certificates().ca), ...crl('revocations') } },
  })),
  upstream('upstream-no-crl', () => ({
    common_tls_context: { validation_context: { trusted_ca: file(certificates().ca), ...crl('deepRevocations') } },
  })),
  upstream('upstream-depth', () => ({
    common_tls_context: { validation_context: { trusted_ca: file(certificates().ca), max_verify_depth: 0 } },
  })),
  upstream('upstream-pin', () => ({
    common_tls_context: { validation_context: { verify_certificate_hash: ['0'.repeat(64)] } },
  })),
  upstream('upstream-pin-trusted', () => ({
    common_tls_context: {
      validation_context: { trusted_ca: file(certificates().ca), verify_certificate_spki: [`${'A'.repeat(43)}=`] },
    },
  })),
  upstream('upstream-stranger-accepted', () => ({
    common_tls_context: {
      validation_context: { trusted_ca: file(certificates().stranger.cert), trust_chain_verification: 'ACCEPT_UNTRUSTED' },
    },
  })),
  upstream('upstream-no-common-version', () => ({
    common_tls_context: { tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' } },
  })),
]

export const tlsTrustCases = group('tls-trust', cases)
