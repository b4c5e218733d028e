import { names } from './annotations.ts'
import type { Pod } from './pod.ts'
import type { InjectionSettings, LabelSelector } from './settings.ts'

/** Namespaces of Kubernetes itself, whose pods are never injected. */
export const ignoredNamespaces: readonly string[] = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage']

export type Decision = { inject: true } | { inject: false; reason: string }

/**
 * Whether a pod that reached injection is injected: not on the host's network and not in Kubernetes' own namespaces; then its
 * label `sidecar.istio.io/inject` (or the annotation), neverInjectSelector, alwaysInjectSelector, and the mesh's policy.
 */
export function decide(pod: Pod, namespace: string, { values }: InjectionSettings): Decision {
  const { neverInjectSelector, alwaysInjectSelector } = values.sidecarInjectorWebhook
  const { labels = {}, annotations = {} } = pod.metadata
  if (pod.spec.hostNetwork === true) return no('it has host networking enabled')
  if (ignoredNamespaces.includes(namespace)) return no(`namespace ${namespace} is Kubernetes' own`)
  const said = labels[names.inject] ?? annotations[names.inject]
  if (said === 'true') return { inject: true }
  if (said === 'false') return no(`it says ${names.inject}: "false"`)
  if (neverInjectSelector.some((selector) => selects(selector, labels))) return no('its labels match neverInjectSelector')
  if (alwaysInjectSelector.some((selector) => selects(selector, labels))) return { inject: true }
  return values.global.proxy.autoInject === 'enabled' ? { inject: true } : no('injection is off unless a pod asks for it')
}

function no(reason: string): Decision {
  return { inject: false, reason }
}

/** Kubernetes' label selector; an empty one selects nothing here. */
function selects({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  if (Object.keys(matchLabels).length + matchExpressions.length === 0) return false
  if (!Object.entries(matchLabels).every(([key, value]) => labels[key] === value)) return false
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    const listed = value !== undefined && values.includes(value)
    return operator === 'In' ? listed : !listed
  })
}
