import { DiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'

/** Lists shorter than this are read anew: there is nothing to gain. */
const worthKeeping = 1_024
/** How much is kept of lists that were read lately. */
const keptBytes = 16 * 2 ** 20
const namesTag = (3 << 3) | 2

interface KnownNames {
  readonly bytes: Buffer
  readonly names: string[]
}

/**
 * Reads state-of-the-world requests. A client repeats all names it asked for with each acknowledgement, and most clients
 * ask for the same: a list that was read lately is found by its bytes, and given as the very array it was.
 */
export function createRequestReader(): (bytes: Buffer) => DiscoveryRequest {
  /** By length; the least lately used first. */
  const known = new Map<number, KnownNames>()
  let kept = 0

  return (bytes) => {
    const span = namesOf(bytes)
    if (span === undefined || span.end - span.start < worthKeeping) return DiscoveryRequest.decode(bytes)
    const list = bytes.subarray(span.start, span.end)
    const candidate = known.get(list.length)
    if (candidate === undefined || !candidate.bytes.equals(list)) {
      const request = DiscoveryRequest.decode(bytes)
      if (candidate !== undefined) kept -= candidate.bytes.length
      known.delete(list.length)
      known.set(list.length, { bytes: Buffer.from(list), names: request.resourceNames })
      kept += list.length
      for (const [length] of known) {
        if (kept <= keptBytes) break
        known.delete(length)
        kept -= length
      }
      return request
    }
    known.delete(list.length)
    known.set(list.length, candidate)
    const request = DiscoveryRequest.decode(Buffer.concat([bytes.subarray(0, span.start), bytes.subarray(span.end)]))
    request.resourceNames = candidate.names
    return request
  }
}

/** Where resource_names stand, all together, in a request; undefined when they don't, or it is none that this understands. */
function namesOf(bytes: Buffer): { start: number; end: number } | undefined {
  let at = 0
  let start = -1
  let end = -1
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) return Number.NaN
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return Number.NaN
  }
  while (at < bytes.length) {
    const fieldStart = at
    const tag = varint()
    // Every field of a request is of this kind; anything else is left to the decoder.
    if ((tag & 7) !== 2) return undefined
    const length = varint()
    at += length
    if (!(at <= bytes.length)) return undefined
    if (tag !== namesTag) continue
    if (start < 0) start = fieldStart
    else if (end !== fieldStart) return undefined
    end = at
  }
  return start < 0 ? undefined : { start, end }
}
