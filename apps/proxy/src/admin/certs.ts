import { X509Certificate } from 'node:crypto'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { type CertificateFiles, certificatesInUse } from '../control/certificates.ts'
import { namesOf } from '../plan/tls-material.ts'
import { type AdminEndpoint, json } from './endpoint.ts'

/** `/certs`: the certificates and trust in use, with their names and days. */
export const certs: AdminEndpoint = {
  path: '/certs',
  help: 'print certs on machine',
  handle: ({ control }) => json({ certificates: certificatesInUse(control).map(pairJson) }),
}

function pairJson({ ca, chain }: CertificateFiles): unknown {
  return { ca_cert: ca.flatMap(detailsOf), cert_chain: chain.flatMap(detailsOf) }
}

function detailsOf({ source, pem }: { source: DataSource; pem: Buffer }): unknown[] {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch {
    return []
  }
  const names = namesOf(certificate)
  const until = new Date(certificate.validTo)
  return [
    {
      path: source.specifier?.$case === 'filename' ? source.specifier.value : '<inline>',
      serial_number: certificate.serialNumber.toLowerCase(),
      subject_alt_names: [
        ...names.uris.map((uri) => ({ uri })),
        ...names.dnsNames.map((dns) => ({ dns })),
        ...names.addresses.map((address) => ({ ip_address: address })),
      ],
      days_until_expiration: String(Math.max(0, Math.floor((until.getTime() - Date.now()) / 86_400_000))),
      valid_from: isoSeconds(new Date(certificate.validFrom)),
      expiration_time: isoSeconds(until),
    },
  ]
}

function isoSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z')
}
