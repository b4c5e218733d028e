import { X509Certificate } from 'node:crypto'
import { bitString, contextConstructed, integer, octetString, oid, sequence, time, writeDer } from '@weft/identity/der'
import { beforeAll, expect, test } from 'vitest'
import { TestAuthority } from '../testing/certificates.ts'
import { isCurrent, readOcspResponse } from './ocsp-response.ts'

let certificate: X509Certificate
beforeAll(async () => {
  certificate = new X509Certificate((await (await TestAuthority.create()).issue('spiffe://test/a')).cert)
})

/** A response (RFC 6960 section 4.2.1) about serial numbers; nobody looks at its signature here. */
function response(serials: readonly string[], nextUpdate?: Date, status = 0): Buffer {
  const answers = serials.map((serial) =>
    sequence(
      sequence(
        sequence(oid('1.3.14.3.2.26')),
        octetString(Buffer.alloc(20)),
        octetString(Buffer.alloc(20)),
        integer(hex(serial)),
      ),
      contextConstructed(0),
      time(new Date(Date.now() - 60_000)),
      ...(nextUpdate === undefined ? [] : [contextConstructed(0, time(nextUpdate))]),
    ),
  )
  const data = sequence(contextConstructed(1), time(new Date()), sequence(...answers))
  const basic = sequence(data, sequence(oid('1.2.840.10045.4.3.2')), bitString(Buffer.alloc(8)))
  const wrapped = sequence(oid('1.3.6.1.5.5.7.48.1.1'), octetString(writeDer(basic)))
  return writeDer(sequence(integer(Buffer.of(status)), contextConstructed(0, wrapped)))
}

const hex = (serial: string) => Buffer.from(serial, 'hex')

test('a response about the certificate is taken, and shown for as long as it says', () => {
  const { serialNumber } = certificate
  const open = readOcspResponse(response([serialNumber]), certificate)
  const current = readOcspResponse(response([serialNumber], new Date(Date.now() + 60_000)), certificate)
  const old = readOcspResponse(response([serialNumber], new Date(Date.now() - 1000)), certificate)
  expect([open, current, old].map((one) => (typeof one === 'string' ? one : isCurrent(one)))).toEqual([true, true, false])
})

test('any other is refused with the reason', () => {
  const { serialNumber } = certificate
  expect(readOcspResponse(response(['01']), certificate)).toMatch(/does not match/)
  expect(readOcspResponse(response([serialNumber, serialNumber]), certificate)).toMatch(/one certificate only/)
  expect(readOcspResponse(response([serialNumber], undefined, 6), certificate)).toMatch(/unsuccessful/)
  const whole = response([serialNumber])
  for (let end = 0; end < whole.length; end++) expect(readOcspResponse(whole.subarray(0, end), certificate)).toBeTypeOf('string')
})
