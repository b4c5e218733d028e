import type { X509Certificate } from 'node:crypto'
import { certificateFields } from './certificate-fields.ts'
import { derTag, derTime, readElement, readElements } from './der.ts'

/** What an authority says of a certificate over OCSP (RFC 6960 section 4.2), to be stapled to it. */
export interface OcspResponse {
  readonly bytes: Buffer
  readonly thisUpdateMs: number
  /** Infinity: it does not say. */
  readonly nextUpdateMs: number
}

const successful = 0

/** Reads a response (DER) about a certificate; a text says why it cannot be stapled to it. */
export function readOcspResponse(bytes: Buffer, certificate: X509Certificate): OcspResponse | string {
  const [status, tagged] = readElements(readElement(bytes)?.content ?? Buffer.alloc(0))
  if (status === undefined) return 'not an OCSP response (DER)'
  if (status.content[0] !== successful) return 'OCSP response was unsuccessful'
  const [, basic] = readElements(readElement(tagged?.content ?? Buffer.alloc(0))?.content ?? Buffer.alloc(0))
  const [data] = readElements(readElement(basic?.content ?? Buffer.alloc(0))?.content ?? Buffer.alloc(0))
  const list = readElements(data?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === derTag.sequence)
  const answers = readElements(list?.content ?? Buffer.alloc(0))
  const [answer] = answers
  if (answer === undefined || answers.length > 1) return 'OCSP Response must be for one certificate only'
  const [id, , thisUpdate, next] = readElements(answer.content)
  const serial = readElements(id?.content ?? Buffer.alloc(0)).at(-1)
  if (serial?.content.toString('hex') !== certificateFields(certificate).serial)
    return 'OCSP response does not match its TLS certificate'
  const nextUpdate = next?.tag === derTag.context(0) ? readElement(next.content) : null
  return {
    bytes,
    thisUpdateMs: thisUpdate === undefined ? Number.NaN : derTime(thisUpdate),
    nextUpdateMs: nextUpdate === null ? Number.POSITIVE_INFINITY : derTime(nextUpdate),
  }
}

/** Whether it may still be shown. */
export function isCurrent({ thisUpdateMs, nextUpdateMs }: OcspResponse): boolean {
  const now = Date.now()
  return thisUpdateMs <= now && now < nextUpdateMs
}
