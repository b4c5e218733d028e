const FAILURES_TO_OPEN = 5
const FIRST_OPEN_MS = 250
const LONGEST_OPEN_MS = 10_000
/** A probe that nothing was heard of for this long no longer counts. */
const PROBE_MS = 10_000

/**
 * Whether a call to Mixer is worth trying. After five failures in a row the circuit opens: requests then take the
 * configured fail policy at once, and one probe at a time, after a wait that doubles up to ten seconds, finds out whether
 * Mixer is back.
 */
export class Circuit {
  #failures = 0
  #openMs = FIRST_OPEN_MS
  #openUntilMs = 0
  #probeSinceMs: number | undefined

  /** Asks for leave to call; the outcome has to be told by `succeeded` or `failed`. */
  enter(nowMs: number): boolean {
    if (this.#failures < FAILURES_TO_OPEN) return true
    const isProbing = this.#probeSinceMs !== undefined && nowMs - this.#probeSinceMs < PROBE_MS
    if (nowMs < this.#openUntilMs || isProbing) return false
    this.#probeSinceMs = nowMs
    return true
  }

  succeeded(): void {
    this.#failures = 0
    this.#openMs = FIRST_OPEN_MS
    this.#probeSinceMs = undefined
  }

  failed(nowMs: number): void {
    this.#failures++
    const wasProbe = this.#probeSinceMs !== undefined
    this.#probeSinceMs = undefined
    if (this.#failures < FAILURES_TO_OPEN) return
    if (wasProbe) this.#openMs = Math.min(LONGEST_OPEN_MS, this.#openMs * 2)
    this.#openUntilMs = nowMs + this.#openMs
  }

  /** The call was given up for a reason that says nothing of Mixer. */
  abandoned(): void {
    this.#probeSinceMs = undefined
  }
}
