import { plainAttributes } from '@weft/attributes/decoding'
import { toPlainAttributes } from '@weft/attributes/encoding'
import type { AttributeValue } from '@weft/attributes/types'
import { Attributes } from '@weft/contracts/istio/mixer/v1/attributes'

export const FORWARDED_HEADER = 'x-istio-attributes'

const MAX_HEADER_LENGTH = 16_384
const MAX_KNOWN = 256
/** What this side finds out itself, and a caller must not be able to claim. */
const OWN_PREFIXES = ['request.', 'response.', 'connection.', 'destination.', 'context.', 'check.', 'quota.', 'api.']
const OWN_NAMES = new Set(['source.principal', 'source.user', 'origin.ip'])

/** The header's value for attributes that are forwarded with each request: the message in base64. */
export function encodeForwarded(values: ReadonlyMap<string, AttributeValue>): string {
  return Buffer.from(Attributes.encode(toPlainAttributes(values)).finish()).toString('base64')
}

/**
 * Reads what callers forwarded. A caller sends the same header with each request, so the last few hundred are kept. What
 * cannot be read counts as nothing forwarded: the header is the caller's own affair and no reason to refuse the request.
 */
export class ForwardedAttributes {
  readonly #ignored: ReadonlySet<string>
  readonly #onMalformed: () => void
  readonly #known = new Map<string, ReadonlyMap<string, AttributeValue> | null>()

  /** `ignored`: names not to be taken over; `*` for all. */
  constructor(ignored: readonly string[], onMalformed: () => void) {
    this.#ignored = new Set(ignored)
    this.#onMalformed = onMalformed
  }

  read(header: string | null): ReadonlyMap<string, AttributeValue> | null {
    if (header === null || this.#ignored.has('*')) return null
    const known = this.#known.get(header)
    if (known !== undefined) return known
    const values = this.#decode(header)
    if (header.length <= MAX_HEADER_LENGTH) {
      if (this.#known.size >= MAX_KNOWN) this.#known.clear()
      this.#known.set(header, values)
    }
    return values
  }

  #decode(header: string): ReadonlyMap<string, AttributeValue> | null {
    if (header.length > MAX_HEADER_LENGTH) {
      this.#onMalformed()
      return null
    }
    try {
      const values = plainAttributes(Attributes.decode(Buffer.from(header, 'base64')))
      return new Map(values.filter(([name]) => this.#isAccepted(name)))
    } catch {
      this.#onMalformed()
      return null
    }
  }

  #isAccepted(name: string): boolean {
    return !this.#ignored.has(name) && !OWN_NAMES.has(name) && !OWN_PREFIXES.some((prefix) => name.startsWith(prefix))
  }
}
