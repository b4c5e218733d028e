import { X509Certificate } from 'node:crypto'
import { CertificateValidationContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { expect, test } from 'vitest'
import { compileValidation } from './tls-material.ts'

test("peers are verified by the system's authorities where a context says so, and by nobody's where it says nothing", () => {
  const compile = (context: Parameters<typeof CertificateValidationContext.fromPartial>[0]) =>
    compileValidation(CertificateValidationContext.fromPartial(context), 'test')
  const { ca } = compile({ systemRootCerts: {} })
  expect(new X509Certificate(ca![0]!).ca).toBe(true)
  expect(compile({}).ca).toBeNull()
})
