import type { IncomingHttpHeaders } from 'node:http2'

/** Metadata with which our Mixer says which configuration it answered by; other Mixers send none. */
const REVISION_METADATA = 'weft-policy-revision'

const MAX_ENDPOINTS = 64
const MAX_LENGTH = 128

/**
 * Notices that Mixer's configuration has changed. Verdicts may be kept for a minute and more, but a sidecar reports every
 * second, and each answer carries the revision; so a new rule takes effect within about a second, and a sidecar need not ask
 * more often for it. Each endpoint is compared with itself: replicas may differ for a while.
 */
export class PolicyRevisions {
  readonly #onChange: () => void
  readonly #byEndpoint = new Map<string, string>()

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  /** Takes the metadata of an endpoint's answer. */
  note(metadata: IncomingHttpHeaders, endpoint: string): void {
    const revision = metadata[REVISION_METADATA]
    if (typeof revision !== 'string' || revision.length > MAX_LENGTH) return
    const before = this.#byEndpoint.get(endpoint)
    if (before === revision) return
    if (before === undefined && this.#byEndpoint.size >= MAX_ENDPOINTS) this.#byEndpoint.clear()
    this.#byEndpoint.set(endpoint, revision)
    if (before !== undefined) this.#onChange()
  }
}
