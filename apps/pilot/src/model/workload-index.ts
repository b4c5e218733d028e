import { listDiff } from './list-diff.ts'
import { ListIndex } from './list-index.ts'
import type { Workload } from './workload.ts'

/** Workloads in groups that change as a whole, such as those of one ServiceEntry; each group once. */
export type WorkloadGroups = ReadonlySet<readonly Workload[]>

export interface WorkloadIndex {
  readonly groups: WorkloadGroups
  readonly byAddress: ListIndex<Workload>
}

/** Workloads by address, worked out from the index before by the groups that are gone and those that are new. */
export function indexWorkloads(groups: WorkloadGroups, before: WorkloadIndex | undefined): WorkloadIndex {
  if (before === undefined) {
    const base = new Map<string, Workload[]>()
    for (const group of groups) for (const workload of group) add(base, workload)
    return { groups, byAddress: new ListIndex(base) }
  }
  const { gone, come } = listDiff(
    [...before.groups].filter((group) => !groups.has(group)).flat(),
    [...groups].filter((group) => !before.groups.has(group)).flat(),
  )
  if (gone.size === 0 && come.length === 0) return { groups, byAddress: before.byAddress }
  const lists = new Map<string, Workload[]>()
  for (const { address } of [...gone, ...come]) {
    if (!lists.has(address))
      lists.set(
        address,
        before.byAddress.get(address).filter((workload) => !gone.has(workload)),
      )
  }
  for (const workload of come) add(lists, workload)
  return { groups, byAddress: before.byAddress.with(lists) }
}

function add(lists: Map<string, Workload[]>, workload: Workload): void {
  const list = lists.get(workload.address)
  if (list === undefined) lists.set(workload.address, [workload])
  else if (!list.some(({ key }) => key === workload.key)) list.push(workload)
}
