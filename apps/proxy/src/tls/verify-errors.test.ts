import { expect, it } from 'vitest'
import { verifyError, verifyProblem } from './verify-errors.ts'

it('one whose signer may not sign has none, as with Envoy', () => {
  for (const error of [32, 79]) expect(verifyProblem(error, 1)).toEqual({ said: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', depth: 0 })
  expect(verifyProblem(10, 2)).toEqual({ said: 'CERT_HAS_EXPIRED', depth: 2 })
})

it('what OpenSSL does not say is no praise', () => {
  expect(verifyProblem(0, 0).said).toBe('UNSPECIFIED')
  expect(verifyProblem(9999, 0).said).toBe('UNSPECIFIED')
})

it('words go back to their numbers', () => {
  expect(verifyError('UNABLE_TO_GET_ISSUER_CERT_LOCALLY')).toBe(20)
  expect(verifyError('CERT_NOT_YET_VALID')).toBe(verifyError('CERT_HAS_EXPIRED'))
})
