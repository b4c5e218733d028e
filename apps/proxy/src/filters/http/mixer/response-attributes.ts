import type { MutableBag } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { parseIp } from '@weft/attributes/ip'
import type { Verdict } from './verdict.ts'

/** What is known of a request once it is over. */
export interface ResponseFacts {
  /** 0 when no response began. */
  readonly status: number
  forEachHeader(visit: (name: string, value: string) => void): void
  readonly requestBodyBytes: number
  readonly requestHeaderBytes: number
  readonly responseBodyBytes: number
  readonly durationMs: number
  readonly endTimeMs: number
  /** `10.0.0.1:8080`; null when no endpoint was chosen. */
  readonly upstreamAddress: string | null
  /** The endpoint's workload, where its metadata says. */
  readonly upstreamUid: string | null
  /** From trailers or headers; null when the response is no gRPC. */
  readonly grpcStatus: string | null
  readonly grpcMessage: string | null
}

/** What became of the check; null when none was asked for. */
export interface CheckFacts {
  readonly verdict: Verdict
  readonly isCheckCached: boolean
  readonly isQuotaCached: boolean
}

/** Adds what a Report tells of the response to a request's attributes. */
export function addResponseAttributes(bag: MutableBag, facts: ResponseFacts, check: CheckFacts | null): void {
  const headers = new Map<string, string>()
  let headerBytes = 0
  if (facts.status !== 0) {
    headers.set(':status', String(facts.status))
    headerBytes = ':status200'.length
  }
  facts.forEachHeader((name, value) => {
    headerBytes += name.length + value.length
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before},${value}`)
  })
  bag.set('response.headers', headers)
  bag.set('request.size', BigInt(facts.requestBodyBytes))
  bag.set('request.total_size', BigInt(facts.requestBodyBytes + facts.requestHeaderBytes))
  bag.set('response.size', BigInt(facts.responseBodyBytes))
  bag.set('response.total_size', BigInt(facts.responseBodyBytes + headerBytes))
  bag.set('response.code', BigInt(facts.status))
  bag.set('response.duration', Duration.fromMilliseconds(facts.durationMs))
  bag.set('response.time', new Date(facts.endTimeMs))
  if (facts.grpcStatus !== null) {
    bag.set('response.grpc_status', facts.grpcStatus)
    bag.set('response.grpc_message', facts.grpcMessage ?? '')
  }
  addDestination(bag, facts)
  if (check === null) return
  bag.set('check.cache_hit', check.isCheckCached)
  bag.set('quota.cache_hit', check.isQuotaCached)
  if (check.verdict.code !== 0) {
    bag.set('check.error_code', BigInt(check.verdict.code))
    bag.set('check.error_message', check.verdict.message)
  }
}

function addDestination(bag: MutableBag, { upstreamAddress, upstreamUid }: ResponseFacts): void {
  const colon = upstreamAddress?.lastIndexOf(':') ?? -1
  if (upstreamAddress !== null && colon >= 0) {
    const host = upstreamAddress.slice(0, colon)
    const address = parseIp(host.startsWith('[') ? host.slice(1, -1) : host)
    const port = Number(upstreamAddress.slice(colon + 1))
    if (address !== undefined && Number.isInteger(port)) {
      bag.set('destination.ip', address)
      bag.set('destination.port', BigInt(port))
    }
  }
  if (upstreamUid !== null && bag.get('destination.uid') === undefined) bag.set('destination.uid', upstreamUid)
}
