/** Remembers answers by id for at least a given time and at most twice that time. */
export class RecentAnswers<Answer> {
  readonly #keepMs: number
  readonly #most: number
  #recent = new Map<string, Answer>()
  #older = new Map<string, Answer>()
  #turnedAt: number

  /** `most` bounds each of the two generations; past it the older one is forgotten early. */
  constructor(keepMs: number, nowMs: number, most = 100_000) {
    this.#keepMs = keepMs
    this.#turnedAt = nowMs
    this.#most = most
  }

  get(id: string, nowMs: number): Answer | undefined {
    this.#turn(nowMs)
    return this.#recent.get(id) ?? this.#older.get(id)
  }

  set(id: string, answer: Answer, nowMs: number): void {
    this.#turn(nowMs)
    if (this.#recent.size >= this.#most) this.#next(nowMs)
    this.#recent.set(id, answer)
  }

  #turn(nowMs: number): void {
    const age = nowMs - this.#turnedAt
    if (age < this.#keepMs) return
    this.#next(nowMs)
    if (age >= 2 * this.#keepMs) this.#older = new Map()
  }

  #next(nowMs: number): void {
    this.#older = this.#recent
    this.#recent = new Map()
    this.#turnedAt = nowMs
  }
}
