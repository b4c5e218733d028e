import { stringify } from 'yaml'
import { exitCodes } from '../exit-codes.ts'
import { applyObjects } from '../kubernetes/apply-objects.ts'
import { installDefaults, installSettings } from '../kubernetes/install-settings.ts'
import { installation } from '../kubernetes/manifests/installation.ts'
import { read, readSettings, type SettingsOptions } from '../kubernetes/settings.ts'
import type { Terminal } from '../terminal.ts'

export interface InstallOptions extends SettingsOptions {
  platform: 'kubernetes'
  namespace?: string
  apply: boolean
  dryRun: boolean
  kubeconfig?: string
  context?: string
}

/** `weft install`: prints the manifests of an installation, or applies them. */
export async function install(options: InstallOptions, terminal: Terminal): Promise<number> {
  const ofNamespace = options.namespace === undefined ? [] : [`global.istioNamespace=${options.namespace}`]
  const injection = await readSettings({ ...options, set: [...ofNamespace, ...options.set] }, installDefaults())
  const meshConfig = options.meshConfig === undefined ? undefined : await read(options.meshConfig)
  const objects = installation(installSettings(injection, meshConfig))
  if (!options.apply) {
    terminal.print(
      objects.map((object) => stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd()).join('\n---\n'),
    )
    return exitCodes.ok
  }
  const { findAccess } = await import('@weft/kubernetes/access')
  const { KubernetesClient } = await import('@weft/kubernetes/client')
  const client = new KubernetesClient(await findAccess({ kubeconfig: options.kubeconfig, context: options.context }))
  try {
    const done = options.dryRun ? 'would be applied' : 'applied'
    await applyObjects(client, objects, options.dryRun, ({ kind, metadata }) =>
      terminal.print(`${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name} ${done}`),
    )
  } finally {
    client.close()
  }
  return exitCodes.ok
}
