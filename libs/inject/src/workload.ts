import type { Pod } from './pod.ts'

/** What a pod belongs to, as telemetry names it. */
export interface Workload {
  name: string
  namespace: string
  apiVersion: string
  kind: string
}

/** The workload of a pod, also of one that is being made: told from its controller, and through that the controller's own by its name's form. */
export function workloadOf({ metadata }: Pick<Pod, 'metadata'>): Workload {
  const { name = '', namespace = '', labels = {} } = metadata
  const pod: Workload = { name, namespace, apiVersion: 'v1', kind: 'Pod' }
  const owner = metadata.generateName ? metadata.ownerReferences?.find(({ controller }) => controller === true) : undefined
  if (owner === undefined) return pod
  const { apiVersion, kind } = owner
  const before = (hash: string | undefined): string | undefined =>
    hash && owner.name.endsWith(hash) ? owner.name.slice(0, -hash.length).replace(/-$/, '') : undefined
  if (kind === 'ReplicaSet') {
    const deployment = before(labels['pod-template-hash'])
    if (deployment !== undefined) return { ...pod, name: deployment, apiVersion, kind: 'Deployment' }
    const rollout = before(labels['rollouts-pod-template-hash'])
    if (rollout !== undefined) return { ...pod, name: rollout, apiVersion: 'v1alpha1', kind: 'Rollout' }
  }
  if (kind === 'ReplicationController' && labels['deploymentconfig']) {
    return { ...pod, name: labels['deploymentconfig'], apiVersion, kind: 'DeploymentConfig' }
  }
  if (kind === 'Job') {
    // A CronJob's jobs end with the minute they were due.
    const cronJob = /^(.+)-\d{8,10}$/.exec(owner.name)?.[1]
    if (cronJob !== undefined) return { ...pod, name: cronJob, apiVersion: 'batch/v1', kind: 'CronJob' }
  }
  return { ...pod, name: owner.name || name, apiVersion, kind }
}
