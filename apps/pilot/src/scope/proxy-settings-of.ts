import { type MeshSettings, settingsOf } from '../model/mesh-settings.ts'
import type { ProxySettings } from '../model/proxy-settings.ts'
import type { ProxyNode } from './proxy-node.ts'

const known = new WeakMap<ProxyNode, { mesh: MeshSettings; settings: ProxySettings }>()

/** What holds for a proxy: its own ProxyConfig over the mesh's. The same object as long as neither changes. */
export function proxySettingsOf(mesh: MeshSettings, proxy: ProxyNode): ProxySettings {
  const before = known.get(proxy)
  if (before?.mesh === mesh) return before.settings
  const settings = settingsOf({ ...mesh.proxyConfig, ...proxy.proxyConfig })
  known.set(proxy, { mesh, settings })
  return settings
}
