import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand } from './peers.ts'

/** A certificate and its key, as paths of PEM files; `<cert>.pem` has both. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** Paths of an authority's certificate, of a server's and a client's of it, and of one that signed itself (all ECDSA P-256). */
export interface Certificates {
  readonly ca: string
  readonly server: KeyPair
  readonly client: KeyPair
  readonly stranger: KeyPair
}

/** Makes certificates by openssl in a folder. */
export function makeCertificates(folder: string): Certificates {
  const openssl = findCommand('openssl')
  if (openssl === undefined) throw new Error('openssl is needed: apt-get install openssl')
  const at = (name: string) => join(folder, name)
  const make = (name: string, ...more: string[]): KeyPair => {
    const pair = { cert: at(`${name}.crt`), key: at(`${name}.key`) }
    execFileSync(
      openssl,
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'],
        ...['-subj', `/CN=${name}`, '-keyout', pair.key, '-out', pair.cert, ...more],
      ],
      { stdio: 'ignore' },
    )
    writeFileSync(`${pair.cert}.pem`, `${readFileSync(pair.cert, 'utf8')}${readFileSync(pair.key, 'utf8')}`)
    return pair
  }
  const ca = make('ca')
  const signed = ['-CA', ca.cert, '-CAkey', ca.key, '-addext']
  return {
    ca: ca.cert,
    server: make('server', ...signed, 'subjectAltName=DNS:localhost,DNS:a.test'),
    client: make('client', ...signed, 'subjectAltName=URI:spiffe://test/ns/a/sa/client,DNS:client.test'),
    stranger: make('stranger', '-addext', 'subjectAltName=URI:spiffe://test/ns/a/sa/client'),
  }
}
