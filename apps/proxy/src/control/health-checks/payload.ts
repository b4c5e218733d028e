import type { HealthCheck_Payload } from '@weft/contracts/envoy/config/core/v3/health_check'
import { invalid } from '../../plan/problems.ts'

/** The bytes of a payload; `text` is hexadecimal. Throws WeftError. */
export function payloadBytes(payload: HealthCheck_Payload, path: string): Buffer {
  if (payload.payload?.$case === 'binary') return payload.payload.value
  const text = payload.payload?.value ?? ''
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(text)) throw invalid(`${path}.text`, `'${text}' is not hexadecimal`)
  return Buffer.from(text, 'hex')
}

/** Whether all parts are in what was received, one behind the other. */
export function holdsInOrder(received: Buffer, expected: readonly Buffer[]): boolean {
  let at = 0
  for (const part of expected) {
    const found = received.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return true
}
