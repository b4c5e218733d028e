import { injectionSettings } from '@weft/inject/settings'
import { applyObjects } from '@weft/weft/kubernetes/apply-objects'
import { installSettings } from '@weft/weft/kubernetes/install-settings'
import { installation } from '@weft/weft/kubernetes/manifests/installation'
import type { KubernetesServer } from './server.ts'

const rights: readonly string[] = ['Namespace', 'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding']

/** Gives a server the service accounts of an installation with their rights, as `weft install` does, and nothing else of it. */
export async function installRights({ client }: KubernetesServer): Promise<void> {
  const objects = installation(installSettings(injectionSettings(), undefined)).filter(({ kind }) => rights.includes(kind))
  await applyObjects(client, objects, false, () => undefined)
}
