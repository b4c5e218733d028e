import type { KeyPair } from '../../../certificates.ts'
import { type Message, tcp } from '../bootstrap.ts'
import { type ClientTurn, group, type ParityCase, type Ports, type TlsTurn } from '../case.ts'
import { certificates, type ParityCertificates } from '../certificates.ts'
import { by, closes, downstream, inspector, says } from '../tls-bootstrap.ts'

type Server = {
  [Name in keyof ParityCertificates]: ParityCertificates[Name] extends KeyPair ? Name : never
}[keyof ParityCertificates]

const pair = (name: Server, more: Message = {}): Message => {
  const { cert, key } = certificates()[name]
  return { certificate_chain: { filename: cert }, private_key: { filename: key }, ...more }
}

/** A listener that shows these certificates. */
const shows =
  (pairs: () => Message[], context: Message = {}, common: Message = {}) =>
  (ports: Ports) =>
    tcp(ports, {
      chains: [says('tls', undefined, downstream({ tls_certificates: pairs(), ...common }, context))],
      clusters: [],
      listener: { listener_filters: [inspector] },
    })

const asks = (tls: TlsTurn): ClientTurn => by({ tellsServer: true, ...tls })
const again = (tls: TlsTurn = {}): ClientTurn => by({ resumes: true, ...tls })
const names = ['a.test', 'b.test', 'x.b.test', 'c.test'].map((serverName) => asks({ serverName }))
const stapled = (which: 'ocspGood' | 'ocspRevoked') => () => [
  pair('server', { ocsp_staple: { filename: certificates()[which] } }),
]
const params = (tls_params: Message): Message => ({ tls_params })

const cases: ParityCase[] = [
  { name: 'by-name', bootstrap: shows(() => [pair('server'), pair('serverB')]), turns: [...names, asks({})] },
  { name: 'by-name-the-other-first', bootstrap: shows(() => [pair('serverB'), pair('server')]), turns: [...names, asks({})] },
  {
    name: 'by-name-or-any',
    bootstrap: shows(() => [pair('serverB'), pair('serverRsa')], { full_scan_certs_on_sni_mismatch: true }),
    turns: [...names, asks({})],
  },
  {
    name: 'by-key',
    bootstrap: shows(() => [pair('serverRsa'), pair('server')]),
    turns: [
      asks({ serverName: 'a.test' }),
      asks({ serverName: 'a.test', version: 'TLSv1.2' }),
      asks({ serverName: 'a.test', version: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }),
      asks({ serverName: 'a.test', version: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }),
      asks({ serverName: 'a.test', signatures: 'rsa_pss_rsae_sha256' }),
      asks({ serverName: 'a.test', signatures: 'ecdsa_secp256r1_sha256' }),
    ],
  },
  { name: 'stapled', bootstrap: shows(stapled('ocspGood')), turns: [asks({}), asks({ version: 'TLSv1.2' }), by({})] },
  { name: 'stapled-though-revoked', bootstrap: shows(stapled('ocspRevoked')), turns: [asks({})] },
  {
    name: 'stapled-strictly',
    bootstrap: shows(stapled('ocspGood'), { ocsp_staple_policy: 'STRICT_STAPLING' }),
    turns: [asks({})],
  },
  {
    name: 'must-staple',
    bootstrap: shows(stapled('ocspGood'), { ocsp_staple_policy: 'MUST_STAPLE' }),
    turns: [asks({}), by({})],
  },
  {
    name: 'must-staple-without',
    validateOnly: true,
    bootstrap: shows(() => [pair('server')], { ocsp_staple_policy: 'MUST_STAPLE' }),
  },
  {
    name: 'stapled-of-another',
    validateOnly: true,
    bootstrap: shows(() => [pair('serverB', { ocsp_staple: { filename: certificates().ocspGood } })]),
  },
  { name: 'sessions', bootstrap: shows(() => [pair('server')]), turns: [again(), again({ version: 'TLSv1.2' })] },
  {
    name: 'sessions-without-tickets',
    bootstrap: shows(() => [pair('server')], {
      disable_stateless_session_resumption: true,
      disable_stateful_session_resumption: true,
    }),
    turns: [again(), again({ version: 'TLSv1.2' })],
  },
  {
    name: 'curves',
    bootstrap: shows(() => [pair('server')], {}, params({ ecdh_curves: ['P-256'] })),
    turns: [asks({}), asks({ curves: 'P-256' }), closes({ curves: 'X25519' })],
  },
  {
    name: 'ciphers',
    bootstrap: shows(
      () => [pair('server')],
      {},
      params({ tls_maximum_protocol_version: 'TLSv1_2', cipher_suites: ['ECDHE-ECDSA-AES256-GCM-SHA384'] }),
    ),
    turns: [asks({}), closes({ ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })],
  },
  {
    name: 'ciphers-as-the-server-prefers',
    bootstrap: shows(() => [pair('server')], {}, params({ tls_maximum_protocol_version: 'TLSv1_2' })),
    turns: [
      asks({ version: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256' }),
      asks({ version: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256' }),
    ],
  },
  {
    name: 'signatures',
    bootstrap: shows(() => [pair('server')], {}, params({ signature_algorithms: ['ecdsa_secp256r1_sha256'] })),
    turns: [asks({}), closes({ signatures: 'ecdsa_secp384r1_sha384' })],
  },
]

export const tlsServerCases = group('tls-server', cases)
