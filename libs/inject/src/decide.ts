import { names } from './annotations.ts'
import { type LabelSelector, selects } from './label-selector.ts'
import type { Pod } from './pod.ts'
import type { InjectionSettings } from './settings.ts'

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
  if (isSelected(neverInjectSelector, labels)) return no('its labels match neverInjectSelector')
  if (isSelected(alwaysInjectSelector, labels)) return { inject: true }
  return values.global.proxy.autoInject === 'enabled' ? { inject: true } : no('injection is off unless a pod asks for it')
}

function no(reason: string): Decision {
  return { inject: false, reason }
}

/** An empty selector selects nothing here. */
function isSelected(selectors: readonly LabelSelector[], labels: Readonly<Record<string, string>>): boolean {
  const isEmpty = ({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean =>
    Object.keys(matchLabels).length + matchExpressions.length === 0
  return selectors.some((selector) => !isEmpty(selector) && selects(selector, labels))
}
