import { expect, it } from 'vitest'
import { cipherList, defaultSuites } from './cipher-suites.ts'

it('has suites that are alike in the order of the client, and others in their own', () => {
  const aes =
    'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305'
  const chaCha =
    'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256'
  const rest = 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384'
  expect(cipherList(defaultSuites)).toBe(`${aes}:${rest}`)
  expect(cipherList(defaultSuites, true)).toBe(`${chaCha}:${rest}`)
  expect(cipherList(['AES128-SHA', 'ECDHE-RSA-CHACHA20-POLY1305'], true)).toBe('AES128-SHA:ECDHE-RSA-CHACHA20-POLY1305')
})
