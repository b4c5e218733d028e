import type { VersionedSecret } from './secret.ts'

/** An open SDS stream, as far as a root rotation has to know it. */
export interface OpenStream {
  identity: string
  /** Why the stream does not use the newest secrets yet; undefined when it has acknowledged them all. */
  unsettled(): string | undefined
}

/** How far all streams have come with what was sent last. */
export interface StreamsStatus {
  streams: number
  settled: number
  /** Those that have not, with the reason; the first hundred. */
  outstanding: { identity: string; reason: string }[]
}

const maxOutstanding = 100

/** All open streams. */
export class OpenStreams {
  readonly #streams = new Set<OpenStream>()

  get size(): number {
    return this.#streams.size
  }

  /** Adds a stream; gives the function that takes it out. */
  add(stream: OpenStream): () => void {
    this.#streams.add(stream)
    return () => this.#streams.delete(stream)
  }

  status(): StreamsStatus {
    let settled = 0
    const outstanding: StreamsStatus['outstanding'] = []
    for (const stream of this.#streams) {
      const reason = stream.unsettled()
      if (reason === undefined) settled += 1
      else if (outstanding.length < maxOutstanding) outstanding.push({ identity: stream.identity, reason })
    }
    return { streams: this.#streams.size, settled, outstanding }
  }
}

/** What one stream has been sent, and what it said to it. */
export class Acknowledgements {
  readonly #pending = new Map<string, readonly string[]>()
  readonly #refused = new Map<string, string>()

  sent(nonce: string, secrets: readonly VersionedSecret[]): void {
    this.#pending.set(
      nonce,
      secrets.map(({ name }) => name),
    )
  }

  /** Takes an answer in; gives false when it answers nothing that is waited for. */
  answered(nonce: string, refusal: string | undefined): boolean {
    const names = this.#pending.get(nonce)
    if (names === undefined) return false
    this.#pending.delete(nonce)
    for (const name of names) {
      if (refusal === undefined) this.#refused.delete(name)
      else this.#refused.set(name, refusal)
    }
    return true
  }

  /** Why not all is acknowledged; undefined when it is. */
  open(): string | undefined {
    for (const [name, reason] of this.#refused) return `it refused ${name}: ${reason}`
    return this.#pending.size > 0 ? 'it has not answered yet' : undefined
  }
}
