import type { StringMap, ValueType } from '@weft/attributes/types'
import { type InstanceOf, optional, template, text } from './template.ts'

const workloadOutput = {
  pod_uid: 'STRING',
  pod_ip: 'IP_ADDRESS',
  pod_name: 'STRING',
  labels: 'STRING_MAP',
  namespace: 'STRING',
  service_account_name: 'STRING',
  owner: 'STRING',
  workload_uid: 'STRING',
  workload_name: 'STRING',
  workload_namespace: 'STRING',
  container_name: 'STRING',
  host_ip: 'IP_ADDRESS',
  app: 'STRING',
} as const satisfies Record<string, ValueType>

type WorkloadOutput = typeof workloadOutput
type OutputValue<Type> = Type extends 'STRING' ? string : Type extends 'IP_ADDRESS' ? Uint8Array : StringMap

/** What an attribute generator of this template may give; `$out.<name>` in attribute bindings. */
export type KubernetesOutput = {
  [Name in keyof WorkloadOutput as `${'source' | 'destination'}_${Name}`]: OutputValue<WorkloadOutput[Name]>
}

/** Asks an attribute generator for what it knows about both ends of a request. */
export const kubernetes = template({
  name: 'kubernetes',
  variety: 'attributes',
  fields: {
    sourceUid: text(),
    sourceIp: optional('IP_ADDRESS'),
    destinationUid: text(),
    destinationIp: optional('IP_ADDRESS'),
    destinationPort: optional('INT64'),
  },
  output: Object.fromEntries(
    ['source', 'destination'].flatMap((side) =>
      Object.entries(workloadOutput).map(([name, type]): [string, ValueType] => [`${side}_${name}`, type]),
    ),
  ),
})

export type KubernetesInstance = InstanceOf<typeof kubernetes>
