import { expect, test } from 'vitest'
import { signatureName } from './signature-names.ts'

test('signatures are called as TLS calls them', () => {
  expect(signatureName(408, 672)).toBe('ecdsa_secp256r1_sha256')
  expect(signatureName(912, 673)).toBe('rsa_pss_rsae_sha384')
  expect(signatureName(6, 64)).toBe('rsa_pkcs1_sha1')
  expect(signatureName(1087, 0)).toBe('ed25519')
  expect(signatureName(0, 0)).toBe('')
})
