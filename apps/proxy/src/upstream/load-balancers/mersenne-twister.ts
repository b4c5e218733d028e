const size = 624
const shift = 397

/** MT19937: a sequence that every proxy draws alike from the same seed. */
export class MersenneTwister {
  private readonly state = new Uint32Array(size)
  private at = size

  constructor(seed: number) {
    const { state } = this
    state[0] = seed
    for (let i = 1; i < size; i++) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30)
      state[i] = Math.imul(1812433253, before) + i
    }
  }

  /** The next 32 bits. */
  next(): number {
    if (this.at >= size) this.refill()
    let value = this.state[this.at++]!
    value ^= value >>> 11
    value ^= (value << 7) & 0x9d2c5680
    value ^= (value << 15) & 0xefc60000
    value ^= value >>> 18
    return value >>> 0
  }

  /** 0 ≤ x < bound, each as likely. */
  below(bound: number): number {
    const step = Math.floor(0x100000000 / bound)
    for (;;) {
      const value = Math.floor(this.next() / step)
      if (value < bound) return value
    }
  }

  private refill(): void {
    const { state } = this
    for (let i = 0; i < size; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % size]! & 0x7fffffff)
      state[i] = state[(i + shift) % size]! ^ (mixed >>> 1) ^ ((mixed & 1) === 0 ? 0 : 0x9908b0df)
    }
    this.at = 0
  }
}
