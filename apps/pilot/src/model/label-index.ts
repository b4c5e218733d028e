import { selects } from './host.ts'
import { listDiff } from './list-diff.ts'
import { ListIndex } from './list-index.ts'
import type { Workload } from './workload.ts'

/** Workloads of one registry by each of their labels; the next is worked out by what came and went. */
export class LabelIndex {
  readonly #workloads: readonly Workload[]
  readonly #byLabel: ListIndex<Workload>

  private constructor(workloads: readonly Workload[], byLabel: ListIndex<Workload>) {
    this.#workloads = workloads
    this.#byLabel = byLabel
  }

  static of(workloads: readonly Workload[], before: LabelIndex = LabelIndex.none): LabelIndex {
    if (before.#workloads === workloads) return before
    const { gone, come } = listDiff(before.#workloads, workloads)
    const lists = new Map<string, Workload[]>()
    const listOf = (key: string): Workload[] => {
      const list = lists.get(key) ?? before.#byLabel.get(key).filter((workload) => !gone.has(workload))
      lists.set(key, list)
      return list
    }
    for (const workload of gone) for (const key of keysOf(workload)) listOf(key)
    for (const workload of come) for (const key of keysOf(workload)) listOf(key).push(workload)
    return new LabelIndex(workloads, before === LabelIndex.none ? new ListIndex(lists) : before.#byLabel.with(lists))
  }

  static readonly none = new LabelIndex([], new ListIndex(new Map()))

  /** The workloads of a namespace that have all these labels; looks among those that have the rarest of them. */
  select(namespace: string, selector: Readonly<Record<string, string>>): readonly Workload[] {
    let fewest: readonly Workload[] | undefined
    for (const key in selector) {
      const candidates = this.#byLabel.get(keyOf(namespace, key, selector[key]!))
      if (fewest === undefined || candidates.length < fewest.length) fewest = candidates
    }
    return (fewest ?? []).filter(({ labels }) => selects(selector, labels))
  }
}

function keysOf({ namespace, labels }: Workload): string[] {
  return Object.entries(labels).map(([label, value]) => keyOf(namespace, label, value))
}

function keyOf(namespace: string, label: string, value: string): string {
  return `${namespace}\0${label}\0${value}`
}
