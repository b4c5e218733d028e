/** Waiting times before attempts to reconnect: doubling from `baseMs` to `mostMs`, each drawn anew from its upper half. */
export class Backoff {
  readonly #baseMs: number
  readonly #mostMs: number
  readonly #random: () => number
  #attempts = 0

  constructor(baseMs = 250, mostMs = 10_000, random: () => number = Math.random) {
    this.#baseMs = baseMs
    this.#mostMs = mostMs
    this.#random = random
  }

  /** The wait before the next attempt, in ms. */
  next(): number {
    const ceiling = Math.min(this.#mostMs, this.#baseMs * 2 ** Math.min(this.#attempts++, 20))
    return Math.round(ceiling * (0.5 + this.#random() / 2))
  }

  reset(): void {
    this.#attempts = 0
  }
}
