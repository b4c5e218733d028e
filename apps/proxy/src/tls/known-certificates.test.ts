import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { TestAuthority } from '../testing/certificates.ts'
import { certificateOf } from './known-certificates.ts'

const { cert } = await (await TestAuthority.create()).issue('spiffe://test/a')
const der = new X509Certificate(cert).raw

/** Another certificate as far as its bytes go: the last of its signature's is `number`. */
function other(number: number): Buffer {
  const bytes = Buffer.from(der)
  bytes.writeUInt16BE(number, bytes.length - 2)
  return bytes
}

test('the same bytes are one certificate, others are another', () => {
  const certificate = certificateOf(der)
  expect(certificate.raw.equals(der)).toBe(true)
  expect(certificateOf(Buffer.from(der))).toBe(certificate)
  expect(certificateOf(other(1))).not.toBe(certificate)
  expect(certificateOf(other(1)).raw.equals(other(1))).toBe(true)
  expect(() => certificateOf(Buffer.from('none'))).toThrow()
})

test('of many, those that were asked for last are kept', () => {
  const certificate = certificateOf(der)
  const first = certificateOf(other(0))
  for (let i = 0; i < 1023; i++) {
    certificateOf(other(i + 1))
    expect(certificateOf(der)).toBe(certificate)
  }
  expect(certificateOf(other(0))).not.toBe(first)
})
