import type { InstallSettings } from '../install-settings.ts'

/** An object of Kubernetes, as it is applied. */
export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> }
  [field: string]: unknown
}

/** Labels of all that belongs to one part of the mesh. */
export function labelsOf(part: string, { injection }: InstallSettings): Record<string, string> {
  return {
    app: part,
    'app.kubernetes.io/name': part,
    'app.kubernetes.io/part-of': 'weft',
    'istio.io/rev': injection.revision || 'default',
  }
}

/** A role with its binding to the service account of a part: of the cluster, or with `namespace` of that alone. */
export function role(
  name: string,
  account: string,
  { namespace }: InstallSettings,
  rules: unknown[],
  scope: 'cluster' | 'namespace',
): KubernetesObject[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const kind = scope === 'cluster' ? 'ClusterRole' : 'Role'
  const metadata = scope === 'cluster' ? { name } : { name, namespace }
  return [
    { apiVersion, kind, metadata, rules },
    {
      apiVersion,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
    },
  ]
}

/** Keeps one of a part's pods while nodes are drained, and adds pods as they are busy. */
export function scaling(
  name: string,
  { namespace }: InstallSettings,
  selector: Record<string, string>,
  { autoscaleMin, autoscaleMax }: { autoscaleMin: number; autoscaleMax: number },
): KubernetesObject[] {
  const metadata = { name, namespace }
  return [
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata,
      spec: { minAvailable: 1, selector: { matchLabels: selector } },
    },
    {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata,
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
        minReplicas: autoscaleMin,
        maxReplicas: autoscaleMax,
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }],
      },
    },
  ]
}
