import { execFileSync } from 'node:child_process'
import { sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCertificateRequest, parseCertificateRequest } from './certificate-request.ts'
import {
  bitString,
  boolean,
  contextConstructed,
  integer,
  octetString,
  oid,
  readDer,
  sequence,
  set,
  utf8String,
  writeDer,
} from './der.ts'
import { createKeyPair, type KeyPair, publicKeyDer } from './keys.ts'
import { algorithmIdentifier, oids } from './oids.ts'
import { formatPem, parsePem } from './pem.ts'
import { writeSubjectNames } from './subject-names.ts'

const alice = 'spiffe://cluster.local/ns/default/sa/alice'
const ecdsaSha256 = '1.2.840.10045.4.3.2'

function openssl(...args: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'csr-test-'))
  try {
    return execFileSync(
      'openssl',
      args.map((arg) => arg.replace('$DIR', folder)),
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A request put together by hand, so that each part can be wrong. */
function handMade(
  keys: KeyPair,
  parts: { version?: number; attributes?: Parameters<typeof contextConstructed>[1][]; algorithm?: string; signer?: KeyPair } = {},
): string {
  const info = sequence(
    integer(Buffer.of(parts.version ?? 0)),
    sequence(),
    readDer(publicKeyDer(keys.publicKey), 'key'),
    contextConstructed(0, ...(parts.attributes ?? [])),
  )
  const signature = sign('sha256', writeDer(info), (parts.signer ?? keys).privateKey)
  return formatPem(
    'CERTIFICATE REQUEST',
    writeDer(sequence(info, algorithmIdentifier(parts.algorithm ?? ecdsaSha256), bitString(signature))),
  )
}

const sanExtension = (uri: string) =>
  sequence(oid(oids.subjectAltName), boolean(true), octetString(writeSubjectNames({ uris: [uri] })))

describe('a certificate request', () => {
  it('of our own is read back and is one that openssl verifies', async () => {
    for (const kind of ['ec-p256', 'rsa-2048'] as const) {
      const pem = createCertificateRequest(await createKeyPair(kind), {
        uris: [alice],
        dns: ['a.example'],
        ips: ['10.0.0.1', '::1'],
      })
      const request = parseCertificateRequest(pem)
      expect(request.names).toEqual({ uris: [alice], dns: ['a.example'], ips: ['10.0.0.1', '0:0:0:0:0:0:0:1'], others: 0 })
      const text = execFileSync('openssl', ['req', '-noout', '-verify', '-text'], {
        input: pem,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      expect(text).toContain(`URI:${alice}, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:a.example`)
    }
  })

  it.each([
    ['P-256', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['RSA 2048', ['rsa:2048']],
    ['RSA 3072', ['rsa:3072']],
  ])('that openssl made with %s is read, subject and all', (_name, key) => {
    const pem = openssl(
      'req',
      '-new',
      '-newkey',
      ...key,
      '-nodes',
      '-keyout',
      '$DIR/key',
      '-subj',
      '/O=Org/CN=x',
      '-addext',
      `subjectAltName=URI:${alice}`,
    )
    expect(parseCertificateRequest(pem).names.uris).toEqual([alice])
  })

  it.each([
    ['P-521', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'], 'curve secp521r1 is not accepted'],
    ['secp256k1', ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], 'curve secp256k1 is not accepted'],
    ['RSA 1024', ['rsa:1024'], 'RSA key of 1024 bits is not accepted'],
    ['Ed25519', ['ed25519'], 'key of type ed25519 is not accepted'],
    [
      'explicit curve parameters',
      ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
      'not accepted',
    ],
  ])('with a key of %s is refused', (_name, key, reason) => {
    const pem = openssl('req', '-new', '-newkey', ...key, '-nodes', '-keyout', '$DIR/key', '-subj', '/')
    expect(() => parseCertificateRequest(pem)).toThrow(reason)
  })

  it('signed with SHA-1 is refused', () => {
    const pem = openssl('req', '-new', '-newkey', 'rsa:2048', '-sha1', '-nodes', '-keyout', '$DIR/key', '-subj', '/')
    expect(() => parseCertificateRequest(pem)).toThrow('signature algorithm 1.2.840.113549.1.1.5 is not accepted')
  })

  it('without proof of possession is refused: signed by another key, altered, or its key of another kind', async () => {
    const [keys, other, rsa] = await Promise.all([createKeyPair(), createKeyPair(), createKeyPair('rsa-2048')])
    const notTheirs = 'signature of the certificate request is not by the key it carries'
    expect(() => parseCertificateRequest(handMade(keys))).not.toThrow()
    expect(() => parseCertificateRequest(handMade(keys, { signer: other }))).toThrow(notTheirs)
    expect(() => parseCertificateRequest(handMade(keys, { algorithm: '1.2.840.113549.1.1.11' }))).toThrow(notTheirs)
    expect(() => parseCertificateRequest(handMade(rsa, { signer: keys }))).toThrow(notTheirs)
    const [block] = parsePem(createCertificateRequest(keys, { uris: [alice] }), 'request')
    const altered = Buffer.from((block?.der ?? Buffer.alloc(0)).toString('latin1').replace('sa/alice', 'sa/admin'), 'latin1')
    expect(() => parseCertificateRequest(formatPem('CERTIFICATE REQUEST', altered))).toThrow(notTheirs)
  })

  it('with a point that is not on the curve is refused', async () => {
    const keys = await createKeyPair()
    const [block] = parsePem(handMade(keys), 'request')
    const der = Buffer.from(block?.der ?? Buffer.alloc(0))
    const point = der.indexOf(Buffer.from('03420004', 'hex')) + 4
    der.fill(1, point, point + 64)
    expect(() => parseCertificateRequest(formatPem('CERTIFICATE REQUEST', der))).toThrow('public key cannot be used')
  })

  it('of a strange form is refused with its fault', async () => {
    const keys = await createKeyPair()
    const twoSans = sequence(oid(oids.extensionRequest), set(sequence(sanExtension(alice), sanExtension(alice))))
    const oneSan = sequence(oid(oids.extensionRequest), set(sequence(sanExtension(alice))))
    expect(() => parseCertificateRequest(handMade(keys, { version: 1 }))).toThrow('not of version 1')
    expect(() => parseCertificateRequest(handMade(keys, { attributes: [twoSans] }))).toThrow('more than one subjectAltName')
    expect(() => parseCertificateRequest(handMade(keys, { attributes: [oneSan, oneSan] }))).toThrow(
      'more than one subjectAltName',
    )
    expect(() => parseCertificateRequest(handMade(keys, { attributes: [utf8String('x')] }))).toThrow('wrong ASN.1 type')
    const good = handMade(keys)
    expect(() => parseCertificateRequest(good + good)).toThrow('exactly one PEM block')
    expect(() => parseCertificateRequest(good.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'))).toThrow('exactly one PEM block')
    expect(() => parseCertificateRequest('x'.repeat(20_000))).toThrow('larger than 16384 bytes')
    const [block] = parsePem(good, 'request')
    const trailing = Buffer.concat([block?.der ?? Buffer.alloc(0), Buffer.of(0)])
    expect(() => parseCertificateRequest(formatPem('CERTIFICATE REQUEST', trailing))).toThrow('is not DER')
    const deep = Buffer.concat(Array.from({ length: 2_000 }, () => Buffer.from('3080', 'hex')))
    expect(() => parseCertificateRequest(formatPem('CERTIFICATE REQUEST', deep))).toThrow(WeftError)
  })

  it('broken at any byte gives a WeftError and never another', async () => {
    const [block] = parsePem(createCertificateRequest(await createKeyPair(), { uris: [alice] }), 'request')
    const der = block?.der ?? Buffer.alloc(0)
    fc.assert(
      fc.property(
        fc.nat(der.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.option(fc.nat(der.length - 1), { nil: undefined }),
        (at, value, cut) => {
          const broken = Buffer.from(der)
          broken[at] = value
          try {
            parseCertificateRequest(formatPem('CERTIFICATE REQUEST', broken.subarray(0, cut)))
          } catch (error) {
            return error instanceof WeftError && error.code === 'invalid_argument'
          }
          return der.equals(broken)
        },
      ),
      { seed: 11, numRuns: 500 },
    )
  })
})
