import type { Overlay, TemplateContext } from './context.ts'

/** The proxy's requests and limits: any of the four annotations replaces all that the mesh says. */
export function proxyResources({ settings, pod }: TemplateContext): Overlay {
  const annotations = pod.metadata.annotations ?? {}
  const pick = (cpu: string, memory: string): Overlay | undefined => {
    const found = { cpu: annotations[`sidecar.istio.io/${cpu}`], memory: annotations[`sidecar.istio.io/${memory}`] }
    const set = Object.entries(found).filter(([, value]) => value !== undefined)
    return set.length === 0 ? undefined : Object.fromEntries(set)
  }
  const requests = pick('proxyCPU', 'proxyMemory')
  const limits = pick('proxyCPULimit', 'proxyMemoryLimit')
  if (requests === undefined && limits === undefined) return { resources: settings.values.global.proxy.resources }
  return { resources: { ...(requests && { requests }), ...(limits && { limits }) } }
}
