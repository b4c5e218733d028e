import { WIRE_BYTES, WIRE_VARINT, WireBytes } from '@weft/attributes/wire-bytes'
import { ReportRequest_RepeatedAttributesSemantics as Semantics } from '@weft/contracts/istio/mixer/v1/report'

/**
 * istio.mixer.v1.CheckRequest, with its attributes still as bytes: they go into a bag without the objects of a generated
 * message in between, which cost more than the check itself.
 */
export interface CheckBytes {
  attributes: Uint8Array
  globalWordCount: number
  deduplicationId: string
  quotas: { name: string; amount: number; bestEffort: boolean }[]
}

/** istio.mixer.v1.ReportRequest, with its records still as bytes. */
export interface ReportBytes {
  records: Uint8Array[]
  defaultWords: string[]
  globalWordCount: number
  /** True when each record changes the bag of the one before it. */
  delta: boolean
}

const bytesTag = (field: number): number => (field << 3) | WIRE_BYTES
const varintTag = (field: number): number => (field << 3) | WIRE_VARINT
const NO_BYTES = new Uint8Array()

/** Reads a CheckRequest. Throws `invalid_argument` for what is none. */
export function readCheckRequest(message: Uint8Array): CheckBytes {
  const request: CheckBytes = { attributes: NO_BYTES, globalWordCount: 0, deduplicationId: '', quotas: [] }
  const bytes = new WireBytes(message)
  while (bytes.position < bytes.end) {
    const tag = bytes.uint32()
    if (tag === bytesTag(1)) request.attributes = bytes.view()
    else if (tag === varintTag(2)) request.globalWordCount = bytes.uint32()
    else if (tag === bytesTag(3)) request.deduplicationId = bytes.string()
    else if (tag === bytesTag(4)) request.quotas.push(readQuota(new WireBytes(bytes.view())))
    else bytes.skip(tag & 7)
  }
  return request
}

function readQuota(bytes: WireBytes): CheckBytes['quotas'][number] {
  const quota = { name: '', amount: 0, bestEffort: false }
  while (bytes.position < bytes.end) {
    const tag = bytes.uint32()
    if (tag === bytesTag(1)) quota.name = bytes.string()
    else if (tag === bytesTag(2)) readQuotaParams(new WireBytes(bytes.view()), quota)
    else bytes.skip(tag & 7)
  }
  return quota
}

function readQuotaParams(bytes: WireBytes, quota: CheckBytes['quotas'][number]): void {
  while (bytes.position < bytes.end) {
    const tag = bytes.uint32()
    if (tag === varintTag(1)) quota.amount = Number(bytes.int64())
    else if (tag === varintTag(2)) quota.bestEffort = bytes.uint32() !== 0
    else bytes.skip(tag & 7)
  }
}

/** Reads a ReportRequest. Throws `invalid_argument` for what is none. */
export function readReportRequest(message: Uint8Array): ReportBytes {
  const request: ReportBytes = { records: [], defaultWords: [], globalWordCount: 0, delta: true }
  const bytes = new WireBytes(message)
  while (bytes.position < bytes.end) {
    const tag = bytes.uint32()
    if (tag === bytesTag(1)) request.records.push(bytes.view())
    else if (tag === bytesTag(2)) request.defaultWords.push(bytes.string())
    else if (tag === varintTag(3)) request.globalWordCount = bytes.uint32()
    else if (tag === varintTag(4)) request.delta = bytes.uint32() !== Semantics.INDEPENDENT_ENCODING
    else bytes.skip(tag & 7)
  }
  return request
}
