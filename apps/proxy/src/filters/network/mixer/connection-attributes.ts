import { MutableBag } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import type { CheckFacts } from '../../http/mixer/response-attributes.ts'

/** What the attributes of a TCP connection are made from. */
export interface ConnectionFacts {
  /** Unique in the mesh. */
  readonly id: string
  /** The client as the socket says; '' when there is none. */
  readonly remoteAddress: string
  readonly isMutualTls: boolean
  /** SNI; '' for none. */
  readonly requestedServerName: string
  /** SPIFFE ids without their scheme; '' for none. */
  readonly peerPrincipal: string
  readonly localPrincipal: string
  readonly timeMs: number
}

/** What a connection has carried so far. `event`: `open` for its first report, `close` for its last one. */
export interface ConnectionProgress {
  readonly event: 'open' | 'continue' | 'close'
  readonly timeMs: number
  readonly receivedBytes: number
  readonly receivedBytesTotal: number
  readonly sentBytes: number
  readonly sentBytesTotal: number
  /** Since it was accepted; told by the last report alone. */
  readonly durationMs: number
  /** Where the client was connecting to. */
  readonly localAddress: string
  readonly localPort: number
}

/** The attributes of a connection for a check (Istio 1.0's vocabulary); `base`: what configuration says. */
export function connectionAttributes(facts: ConnectionFacts, base: MutableBag): MutableBag {
  const bag = new MutableBag(base)
  bag.set('connection.id', facts.id)
  bag.set('connection.mtls', facts.isMutualTls)
  bag.set('context.protocol', 'tcp')
  bag.set('context.time', new Date(facts.timeMs))
  const address = parseIp(facts.remoteAddress)
  setIfKnown(bag, 'source.ip', address)
  setIfKnown(bag, 'origin.ip', address)
  setIfKnown(bag, 'connection.requested_server_name', facts.requestedServerName)
  setIfKnown(bag, 'source.principal', facts.peerPrincipal)
  setIfKnown(bag, 'source.user', facts.peerPrincipal)
  setIfKnown(bag, 'destination.principal', facts.localPrincipal)
  return bag
}

/** The record of a report: a connection's attributes and how far it is. `check`: null when none was asked for. */
export function progressAttributes(checked: MutableBag, progress: ConnectionProgress, check: CheckFacts | null): MutableBag {
  const bag = checked.copy()
  bag.set('context.time', new Date(progress.timeMs))
  bag.set('connection.event', progress.event)
  bag.set('connection.received.bytes', BigInt(progress.receivedBytes))
  bag.set('connection.received.bytes_total', BigInt(progress.receivedBytesTotal))
  bag.set('connection.sent.bytes', BigInt(progress.sentBytes))
  bag.set('connection.sent.bytes_total', BigInt(progress.sentBytesTotal))
  if (progress.event === 'close') bag.set('connection.duration', Duration.fromMilliseconds(progress.durationMs))
  const address = parseIp(progress.localAddress)
  if (address !== undefined) {
    bag.set('destination.ip', address)
    bag.set('destination.port', BigInt(progress.localPort))
  }
  if (check === null) return bag
  bag.set('check.cache_hit', check.isCheckCached)
  bag.set('quota.cache_hit', check.isQuotaCached)
  if (check.verdict.code !== 0) {
    bag.set('check.error_code', BigInt(check.verdict.code))
    bag.set('check.error_message', check.verdict.message)
  }
  return bag
}

function setIfKnown(bag: MutableBag, name: string, value: AttributeValue | undefined): void {
  if (value !== undefined && value !== '') bag.set(name, value)
}
