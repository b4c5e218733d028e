import type { X509Certificate } from 'node:crypto'
import { certificateFields } from '../../plan/certificate-fields.ts'
import { namesOf } from '../../plan/tls-material.ts'
import type { ConnectionInfo, PeerCertificate, TlsInfo } from '../../transport/connection-info.ts'
import type { FormatContext } from './context.ts'
import { type FormatValue, type Operator, type OperatorKind, plain } from './operator.ts'
import { compileTimeFormat } from './time.ts'

type Side = (context: FormatContext) => ConnectionInfo | null

const downstream: Side = ({ connection }) => connection
const upstream: Side = ({ info }) => info.upstreamConnection

function tls(side: Side, give: (tls: TlsInfo) => FormatValue): Operator {
  return (context) => {
    const info = side(context)?.tls ?? null
    return info === null ? null : give(info) || null
  }
}

function peer(side: Side, give: (certificate: PeerCertificate) => FormatValue): Operator {
  return tls(side, (info) => (info.peer === null ? null : give(info.peer)))
}

function own(side: Side, give: (certificate: X509Certificate) => FormatValue): Operator {
  return tls(side, ({ local }) => (local === undefined ? null : give(local)))
}

/** What the certificate itself says. */
function x509(side: Side, give: (certificate: X509Certificate) => FormatValue): Operator {
  return peer(side, (certificate) => (certificate.x509 === undefined ? null : give(certificate.x509)))
}

function list(values: readonly string[]): string | null {
  return values.length === 0 ? null : values.join(',')
}

function otherNames(certificate: X509Certificate): string[] {
  return certificateFields(certificate).otherNames.map(({ value }) => value)
}

function hex(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase()
}

/** Of the certificates that a client sent, its own first. */
function chain(give: (certificate: X509Certificate) => string): Operator {
  return peer(downstream, ({ chain }) => list((chain ?? []).map(give)))
}

/** A moment of a certificate, in its own way where no format is given: to the second. */
function moment(side: Side, read: (certificate: PeerCertificate) => Date): OperatorKind {
  return (argument) => {
    const format =
      argument === '' ? (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z/, '.000Z') : compileTimeFormat(argument)
    return peer(side, (certificate) => format(read(certificate).getTime()))
  }
}

/** What both sides have, under their prefix. */
function shared(prefix: string, side: Side): Record<string, OperatorKind> {
  return {
    ...plain({
      [`${prefix}_TLS_VERSION`]: tls(side, (t) => t.version),
      [`${prefix}_TLS_CIPHER`]: tls(side, (t) => t.cipher),
      [`${prefix}_TLS_GROUP`]: tls(side, (t) => t.group ?? null),
      [`${prefix}_TLS_SESSION_ID`]: tls(side, (t) => t.sessionId || null),
      [`${prefix}_PEER_SUBJECT`]: peer(side, (c) => c.subject),
      [`${prefix}_PEER_ISSUER`]: peer(side, (c) => c.issuer),
      [`${prefix}_PEER_URI_SAN`]: peer(side, (c) => list(c.uris)),
      [`${prefix}_PEER_DNS_SAN`]: peer(side, (c) => list(c.dnsNames)),
      [`${prefix}_PEER_IP_SAN`]: x509(side, (c) => list(namesOf(c).addresses)),
      [`${prefix}_PEER_CERT`]: peer(side, (c) => encodeURIComponent(c.pem)),
      [`${prefix}_LOCAL_URI_SAN`]: own(side, (c) => list(namesOf(c).uris)),
      [`${prefix}_LOCAL_DNS_SAN`]: own(side, (c) => list(namesOf(c).dnsNames)),
      [`${prefix}_LOCAL_IP_SAN`]: own(side, (c) => list(namesOf(c).addresses)),
    }),
    [`${prefix}_PEER_CERT_V_START`]: moment(side, (c) => c.validFrom),
    [`${prefix}_PEER_CERT_V_END`]: moment(side, (c) => c.validTo),
  }
}

/** The certificate that the peer's was verified by. */
function issuer(give: (certificate: X509Certificate) => string): Operator {
  return peer(downstream, ({ verified, x509 }) =>
    verified && x509?.issuerCertificate !== undefined ? give(x509.issuerCertificate) : null,
  )
}

/** What TLS says of the connections of a request. */
export const tlsOperators: Readonly<Record<string, OperatorKind>> = {
  ...shared('DOWNSTREAM', downstream),
  ...shared('UPSTREAM', upstream),
  ...plain({
    UPSTREAM_SERVER_NAME: ({ info }) => info.upstreamConnection?.tls?.serverName || null,
    DOWNSTREAM_PEER_EMAIL_SAN: x509(downstream, (c) => list(namesOf(c).emails)),
    DOWNSTREAM_LOCAL_EMAIL_SAN: own(downstream, (c) => list(namesOf(c).emails)),
    DOWNSTREAM_PEER_OTHERNAME_SAN: x509(downstream, (c) => list(otherNames(c))),
    DOWNSTREAM_LOCAL_OTHERNAME_SAN: own(downstream, (c) => list(otherNames(c))),
    DOWNSTREAM_LOCAL_SUBJECT: tls(downstream, (t) => t.localSubject ?? null),
    DOWNSTREAM_PEER_SERIAL: peer(downstream, (c) => c.serialNumber),
    DOWNSTREAM_PEER_FINGERPRINT_256: peer(downstream, (c) => c.fingerprint256),
    DOWNSTREAM_PEER_FINGERPRINT_1: x509(downstream, (c) => hex(c.fingerprint)),
    DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256: chain((one) => hex(one.fingerprint256)),
    DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1: chain((one) => hex(one.fingerprint)),
    DOWNSTREAM_PEER_CHAIN_SERIALS: chain((one) => one.serialNumber.toLowerCase()),
    DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256: issuer((one) => hex(one.fingerprint256)),
    DOWNSTREAM_PEER_ISSUER_SERIAL: issuer((one) => one.serialNumber.toLowerCase()),
    TLS_JA3_FINGERPRINT: ({ connection }) => connection.fingerprints?.ja3 ?? null,
    TLS_JA4_FINGERPRINT: ({ connection }) => connection.fingerprints?.ja4 ?? null,
  }),
}
