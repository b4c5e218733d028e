import type { ServerTLSSettings } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import type { Report } from './report.ts'

type Mode = 'PASSTHROUGH' | 'SIMPLE' | 'MUTUAL' | 'AUTO_PASSTHROUGH' | 'ISTIO_MUTUAL' | 'OPTIONAL_MUTUAL'
const modes: readonly Mode[] = ['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL']

/** The TLS of a server of a Gateway, or of a Sidecar's ingress. */
export function checkServerTls(tls: ServerTLSSettings, report: Report): void {
  checkVersions(tls, report)
  checkCiphers(tls.cipherSuites, report.at('cipherSuites'))
  const mode = modes[tls.mode] ?? 'PASSTHROUGH'
  if (mode === 'ISTIO_MUTUAL') {
    checkIstioMutual(tls, report)
    return
  }
  if (mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH') {
    const { serverCertificate, privateKey, caCertificates, caCrl, credentialName, credentialNames, tlsCertificates } = tls
    const texts = [serverCertificate, privateKey, caCertificates, caCrl, credentialName, ...credentialNames]
    if (texts.some((text) => text !== '') || tlsCertificates.length > 0) report.warn(`${mode} mode does not use certificates`)
    return
  }
  checkCertificates(tls, mode, report)
}

function checkCertificates(tls: ServerTLSSettings, mode: 'SIMPLE' | 'MUTUAL' | 'OPTIONAL_MUTUAL', report: Report): void {
  const { serverCertificate, privateKey, credentialName, credentialNames, tlsCertificates } = tls
  const ways = [
    credentialName !== '',
    credentialNames.length > 0,
    tlsCertificates.length > 0,
    serverCertificate !== '' && privateKey !== '',
  ].filter((given) => given).length
  if (ways > 1) {
    report.error('only one of credential_name, credential_names, tls_certificates, or server_certificate/private_key may be set')
    return
  }
  const most = 2
  const named = credentialName !== '' || credentialNames.length > 0
  if (credentialNames.length > most || tlsCertificates.length > most) {
    report.warn(`${mode} TLS can support up to 2 server certificates (such as RSA and ECDSA): the rest is not used`)
  }
  if (mode !== 'SIMPLE' && !named && tls.caCertificates === '' && tls.caCertCredentialName === '') {
    report.at('caCertificates').error(`${mode} TLS requires a client CA bundle`)
  }
  for (const [index, certificate] of tlsCertificates.entries()) {
    const at = report.at('tlsCertificates', index)
    if (certificate.serverCertificate === '') at.at('serverCertificate').error(`${mode} TLS requires a server certificate`)
    if (certificate.privateKey === '') at.at('privateKey').error(`${mode} TLS requires a private key`)
  }
  if (named || tlsCertificates.length > 0) return
  if (serverCertificate === '') report.at('serverCertificate').error(`${mode} TLS requires a server certificate`)
  if (privateKey === '') report.at('privateKey').error(`${mode} TLS requires a private key`)
}

function checkIstioMutual(tls: ServerTLSSettings, report: Report): void {
  const given: [string, string][] = [
    ['server certificate', tls.serverCertificate],
    ['private key', tls.privateKey],
    ['CA bundle', tls.caCertificates],
    ['credentialName', tls.credentialName || tls.credentialNames.join()],
    ['tlsCertificates', tls.tlsCertificates.length > 0 ? 'some' : ''],
  ]
  for (const [what, value] of given) {
    if (value !== '') report.error(`ISTIO_MUTUAL TLS cannot have associated ${what}`, 'the mesh issues the certificate')
  }
}

function checkVersions(tls: ServerTLSSettings, report: Report): void {
  const { minProtocolVersion: least, maxProtocolVersion: most } = tls
  if (least !== 0 && most !== 0 && least > most)
    report.at('maxProtocolVersion').error('must not be lower than minProtocolVersion')
  if (most === 1 || most === 2) report.at('maxProtocolVersion').warn('TLS before 1.2 is broken', 'set it to TLSV1_3')
}

const ciphers = new Set(
  (
    'ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 ' +
    'ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-SHA ECDHE-RSA-AES128-SHA ' +
    'ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES256-SHA AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA AES256-SHA DES-CBC3-SHA'
  ).split(' '),
)

function checkCiphers(suites: readonly string[], report: Report): void {
  const seen = new Set<string>()
  for (const [index, suite] of suites.entries()) {
    const name = suite.replace(/^[-+!]/, '').replaceAll(/[[\]]/g, '')
    const unknown = name.split('|').filter((part) => !ciphers.has(part))
    if (unknown.length > 0) report.at(index).warn(`ignoring invalid cipher suite ${unknown.join()}`)
    if (seen.has(suite)) report.at(index).warn(`ignoring duplicate cipher suite ${suite}`)
    seen.add(suite)
  }
}
