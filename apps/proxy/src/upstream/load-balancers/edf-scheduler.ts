/**
 * Earliest deadline first: each entry comes up every 1/weight on a virtual clock, kept in a heap. A weight is asked for each
 * time an entry is put back, so weights that follow load or time work too. Picking allocates nothing.
 */
export class EdfScheduler<T> {
  private readonly heap: Entry<T>[] = []
  private order = 0
  private readonly weightOf: (item: T) => number

  constructor(items: readonly T[], weightOf: (item: T) => number) {
    this.weightOf = weightOf
    for (const item of items) this.push({ item, deadline: 1 / positive(weightOf(item)), order: this.order++ })
  }

  get size(): number {
    return this.heap.length
  }

  /** The next item; there has to be one. */
  pick(): T {
    const first = this.heap[0]!
    first.deadline += 1 / positive(this.weightOf(first.item))
    first.order = this.order++
    this.sink()
    return first.item
  }

  private push(entry: Entry<T>): void {
    const { heap } = this
    heap.push(entry)
    let at = heap.length - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(heap[at]!, heap[parent]!)) return
      this.swap(at, parent)
      at = parent
    }
  }

  private sink(): void {
    const { heap } = this
    let at = 0
    for (;;) {
      const left = at * 2 + 1
      let least = at
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left
      if (left + 1 < heap.length && before(heap[left + 1]!, heap[least]!)) least = left + 1
      if (least === at) return
      this.swap(at, least)
      at = least
    }
  }

  private swap(a: number, b: number): void {
    const held = this.heap[a]!
    this.heap[a] = this.heap[b]!
    this.heap[b] = held
  }
}

interface Entry<T> {
  item: T
  deadline: number
  order: number
}

function before(a: Entry<unknown>, b: Entry<unknown>): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order)
}

function positive(weight: number): number {
  return Math.max(weight, 1e-9)
}
