import type { KubernetesServer } from '../../kubernetes/server.ts'
import { until } from '../../processes.ts'

const patienceMs = 300_000

export interface Condition {
  type: string
  status: string
  reason?: string
  message?: string
  observedGeneration?: number
}

/** Waits for the condition Reconciled of an object's present generation, until it is as wanted. */
export async function conditionOf(
  server: KubernetesServer,
  kind: string,
  name: string,
  wanted: (condition: Condition) => boolean,
): Promise<Condition> {
  let last: Condition | undefined
  const isWanted = async (): Promise<boolean> => {
    const object = JSON.parse(await server.kubectl(['get', kind, name, '-o', 'json'])) as {
      metadata: { generation: number }
      status?: { observedGeneration?: number; conditions?: Condition[] }
    }
    last = object.status?.conditions?.find(({ type }) => type === 'Reconciled')
    return object.status?.observedGeneration === object.metadata.generation && last !== undefined && wanted(last)
  }
  await until(isWanted, `the status of ${kind} ${name}`, undefined, patienceMs)
  if (last === undefined) throw new Error('no condition')
  return last
}
