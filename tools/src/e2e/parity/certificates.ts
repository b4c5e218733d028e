import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificates, type KeyPair, makeCertificates } from '../../certificates.ts'
import { findCommand } from '../../peers.ts'

/** Certificates of an authority that keeps books, in every state that one may be in, beside plain ones. */
export interface ParityCertificates extends Certificates {
  readonly intermediate: KeyPair
  /** Of the intermediate authority, which its file holds too; and the same without it. */
  readonly deep: KeyPair
  readonly deepAlone: KeyPair
  readonly revoked: KeyPair
  readonly expired: KeyPair
  /** Expired, and signed by itself. */
  readonly expiredStranger: KeyPair
  /** A client with an email address, an address and a name of another kind. */
  readonly named: KeyPair
  /** Servers of the names `a.test` and `b.test`, and one of `a.test` by RSA. */
  readonly serverB: KeyPair
  readonly serverRsa: KeyPair
  /** Who is revoked, as the authority says, and as the intermediate one does (nobody). */
  readonly revocations: string
  readonly deepRevocations: string
  /** What the authority says of `server` over OCSP (DER): that it is good, and that it is revoked. */
  readonly ocspGood: string
  readonly ocspRevoked: string
}

let made: ParityCertificates | undefined

/** The certificates of all cases, made on first use; gone with this process. */
export function certificates(): ParityCertificates {
  if (made === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'weft-e2e-certificates-'))
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
    made = { ...makeCertificates(folder), ...makeMore(folder) }
  }
  return made
}

function makeMore(folder: string): Omit<ParityCertificates, keyof Certificates> {
  const at = (name: string) => join(folder, name)
  const command = findCommand('openssl') ?? 'openssl'
  const openssl = (...args: string[]) => void execFileSync(command, args, { stdio: 'ignore', cwd: folder })
  const books = (name: string) => {
    writeFileSync(at(`${name}.index`), '')
    writeFileSync(at(`${name}.crlnumber`), '01')
    writeFileSync(
      at(`${name}.books`),
      `[ca]\ndefault_ca=books\n[books]\ndatabase=${name}.index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n` +
        `default_days=30\ndefault_crl_days=30\ncrlnumber=${name}.crlnumber\nunique_subject=no\npolicy=any\n[any]\ncommonName=supplied\n`,
    )
    return ['ca', '-batch', '-notext', '-config', `${name}.books`, '-cert', `${name}.crt`, '-keyfile', `${name}.key`]
  }
  const root = books('ca')
  const ec = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
  const issue = (name: string, by: string[], extensions: string, dates: string[] = [], key = ec): KeyPair => {
    openssl('req', '-new', '-newkey', ...key, '-nodes', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    writeFileSync(at(`${name}.ext`), extensions)
    openssl(...by, '-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`, ...dates)
    return { cert: at(`${name}.crt`), key: at(`${name}.key`) }
  }
  const client = 'subjectAltName=URI:spiffe://test/ns/a/sa/client,DNS:client.test\n'
  const intermediate = issue('intermediate', root, 'basicConstraints=critical,CA:TRUE\n')
  const below = books('intermediate')
  const deepAlone = issue('deep', below, client)
  const deep = { cert: at('deep.chain.crt'), key: deepAlone.key }
  writeFileSync(deep.cert, readFileSync(deepAlone.cert, 'utf8') + readFileSync(intermediate.cert, 'utf8'))
  const revoked = issue('revoked', root, client)
  openssl(...root, '-revoke', 'revoked.crt')
  const past = ['-startdate', '20200101000000Z', '-enddate', '20210101000000Z']
  const expired = issue('expired', root, client, past)
  const itself = ['ca', '-batch', '-notext', '-config', 'ca.books', '-selfsign', '-keyfile', 'expired-stranger.key']
  const expiredStranger = issue('expired-stranger', itself, client, past)
  const otherName = 'otherName:1.3.6.1.4.1.311.20.2.3;UTF8:user@test'
  const named = issue('named', root, `subjectAltName=email:user@test,IP:10.1.2.3,${otherName}\n`)
  const serverB = issue('server-b', root, 'subjectAltName=DNS:b.test\n')
  const serverRsa = issue('server-rsa', root, 'subjectAltName=DNS:a.test\n', [], ['rsa:2048'])
  openssl(...root, '-gencrl', '-out', 'ca.crl')
  openssl(...below, '-gencrl', '-out', 'deep.crl')
  const answer = (name: string, state: string) => {
    const serial = execFileSync(command, ['x509', '-in', at('server.crt'), '-noout', '-serial'], { encoding: 'utf8' })
    const [, number = ''] = serial.trim().split('=')
    writeFileSync(at(`${name}.index`), `${state}\t${number}\tunknown\t/CN=server\n`)
    openssl('ocsp', '-issuer', 'ca.crt', '-cert', 'server.crt', '-reqout', 'server.ocsp', '-no_nonce')
    const signer = ['-rsigner', 'ca.crt', '-rkey', 'ca.key', '-CA', 'ca.crt', '-ndays', '30']
    openssl('ocsp', '-index', `${name}.index`, ...signer, '-reqin', 'server.ocsp', '-respout', `${name}.der`)
    return at(`${name}.der`)
  }
  return {
    intermediate,
    deep,
    deepAlone,
    revoked,
    expired,
    expiredStranger,
    named,
    serverB,
    serverRsa,
    revocations: at('ca.crl'),
    deepRevocations: at('deep.crl'),
    ocspGood: answer('good', 'V\t360101000000Z\t'),
    ocspRevoked: answer('bad', 'R\t360101000000Z\t250101000000Z'),
  }
}
