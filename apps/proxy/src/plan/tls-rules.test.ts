import { CommonTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { expect, test } from 'vitest'
import { checkPins, checkTlsContext } from './tls-rules.ts'

function check(tlsParams: { cipherSuites?: string[]; ecdhCurves?: string[] }, alpnProtocols: string[] = []): void {
  checkTlsContext(CommonTlsContext.fromPartial({ tlsParams, alpnProtocols }), 'tls')
}

test.each([
  [['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']],
  [['[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]']],
  [['ALL:!aPSK', 'ECDHE+AESGCM']],
])('suites that BoringSSL has are taken: %j', (cipherSuites) => {
  expect(() => check({ cipherSuites })).not.toThrow()
})

test.each([
  ['NOPE', 'NOPE'],
  ['DHE-RSA-AES128-SHA', 'DHE-RSA-AES128-SHA'],
  ['ECDHE-ECDSA-AES128-GCM-SHA256:NOPE', 'NOPE'],
  ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
])('others are refused by name: %s', (suite, name) => {
  expect(() => check({ cipherSuites: [suite] })).toThrow(`rejected: ${name}`)
})

test('curves that BoringSSL has are taken, others refused', () => {
  expect(() => check({ ecdhCurves: ['X25519:P-256', 'P-384'] })).not.toThrow()
  for (const curve of ['P-224', 'X448', 'secp256r1'])
    expect(() => check({ ecdhCurves: [curve] }), curve).toThrow('Failed to initialize ECDH curves')
})

test('a protocol of ALPN has 255 bytes at most', () => {
  expect(() => check({}, ['x'.repeat(255)])).not.toThrow()
  expect(() => check({}, ['h2', 'x'.repeat(256)])).toThrow('Invalid ALPN protocol string')
})

test('pins are SHA-256, in hexadecimal with or without colons, or in base64', () => {
  const hash = 'aB'.repeat(32)
  expect(() => checkPins([hash, Array(32).fill('0f').join(':')], [Buffer.alloc(32, 7).toString('base64')], '')).not.toThrow()
  expect(() => checkPins(['g'.repeat(64)], [], '')).toThrow('Invalid hex-encoded SHA-256')
  expect(() => checkPins(['ab'], [], '')).toThrow('Invalid hex-encoded SHA-256')
  expect(() => checkPins([], ['!'.repeat(44)], '')).toThrow('Invalid base64-encoded SHA-256')
})
