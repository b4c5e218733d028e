import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Bench, needed } from './proxy-bench.ts'

const run = promisify(execFile)

/** Paths of an authority's certificate, and of a server's and a client's with their keys (ECDSA P-256). */
export interface Certificates {
  readonly ca: string
  /** `<cert>.pem` has certificate and key in one file. */
  readonly server: { readonly cert: string; readonly key: string }
  readonly client: { readonly cert: string; readonly key: string }
}

/** Makes certificates by openssl in the benchmark's folder. */
export async function makeCertificates(bench: Bench): Promise<Certificates> {
  const at = (name: string) => join(bench.folder, name)
  const make = (name: string, ...more: string[]) =>
    run(needed('openssl'), [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'],
      ...['-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.crt`), ...more],
    ])
  await make('ca')
  const signed = ['-CA', at('ca.crt'), '-CAkey', at('ca.key')]
  await make('server', ...signed, '-addext', 'subjectAltName=DNS:localhost')
  await make('client', ...signed, '-addext', 'subjectAltName=URI:spiffe://bench/ns/a/sa/client')
  await bench.file('server.crt.pem', `${await readFile(at('server.crt'), 'utf8')}${await readFile(at('server.key'), 'utf8')}`)
  const pair = (name: string) => ({ cert: at(`${name}.crt`), key: at(`${name}.key`) })
  return { ca: at('ca.crt'), server: pair('server'), client: pair('client') }
}
