import { names } from '../annotations.ts'
import { type Pod, proxyContainerName } from '../pod.ts'
import type { ProxyConfig } from '../proxy-config.ts'
import type { InjectionSettings } from '../settings.ts'
import type { Workload } from '../workload.ts'

/** What a template makes its part of the pod from. */
export interface TemplateContext {
  settings: InjectionSettings
  /** The pod as its owner wrote it: without what an earlier injection added. */
  pod: Pod
  workload: Workload
  proxyConfig: ProxyConfig
}

/** Fields of a pod, laid over it by a strategic merge. */
export type Overlay = Readonly<Record<string, unknown>>

export const defaultProxyId = 1337

/** An annotation's value, or the default of the mesh. */
export function annotation({ pod }: TemplateContext, name: string, otherwise: string | number): string {
  return pod.metadata.annotations?.[name] ?? String(otherwise)
}

export function hasAnnotation({ pod }: TemplateContext, name: string): boolean {
  return pod.metadata.annotations?.[name] !== undefined
}

export function interceptionMode(context: TemplateContext): string {
  return annotation(context, names.interceptionMode, context.proxyConfig.interceptionMode ?? 'REDIRECT')
}

/** The containers of the application, by name. */
export function applicationContainers({ pod }: TemplateContext): string[] {
  return pod.spec.containers.map(({ name }) => name).filter((name) => name !== proxyContainerName)
}

/** Labels by which telemetry knows the workload, and the annotations that every injected pod has. */
export function commonMetadata(context: TemplateContext, longestName: number): { labels: Overlay; annotations: Overlay } {
  const { pod, workload, settings } = context
  const labels = pod.metadata.labels ?? {}
  const [first] = applicationContainers(context)
  const name =
    labels['service.istio.io/canonical-name'] || labels['app.kubernetes.io/name'] || labels['app'] || workload.name || ''
  const version =
    labels['service.istio.io/canonical-revision'] || labels['app.kubernetes.io/version'] || labels['version'] || 'latest'
  const defaults = ['kubectl.kubernetes.io/default-logs-container', 'kubectl.kubernetes.io/default-container']
  return {
    labels: {
      // A label's value ends with a letter or digit, wherever the name was cut.
      'service.istio.io/canonical-name': name.slice(0, longestName).replaceAll(/^[-_.]+|[-_.]+$/g, ''),
      'service.istio.io/canonical-revision': version,
    },
    annotations: {
      [names.revision]: settings.revision || 'default',
      ...(first === undefined
        ? {}
        : Object.fromEntries(defaults.filter((key) => !hasAnnotation(context, key)).map((key) => [key, first]))),
    },
  }
}
