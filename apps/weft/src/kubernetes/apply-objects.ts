import type { KubernetesClient } from '@weft/kubernetes/client'
import { resourcePath } from '@weft/kubernetes/resource'
import { WeftError } from '@weft/service/errors'
import type { KubernetesObject } from './manifests/object.ts'

/** The collection of each kind that is installed. */
const plurals: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  CustomResourceDefinition: 'customresourcedefinitions',
  ServiceAccount: 'serviceaccounts',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  ConfigMap: 'configmaps',
  Service: 'services',
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  PodDisruptionBudget: 'poddisruptionbudgets',
  HorizontalPodAutoscaler: 'horizontalpodautoscalers',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
  ValidatingWebhookConfiguration: 'validatingwebhookconfigurations',
}

/**
 * Applies objects one after the other, server-side as field manager `weft`; again changes nothing but what differs. Throws the
 * API server's words about the first that it refuses, with the object.
 */
export async function applyObjects(
  client: KubernetesClient,
  objects: readonly KubernetesObject[],
  dryRun: boolean,
  onApplied: (object: KubernetesObject) => void,
): Promise<void> {
  for (const object of objects) {
    const { kind, apiVersion, metadata } = object
    const [version = '', group = ''] = apiVersion.split('/').reverse()
    const plural = plurals[kind]
    if (plural === undefined) throw new WeftError('internal', `${kind} is in no collection that is known`)
    const query = { fieldManager: 'weft', force: 'true', ...(dryRun ? { dryRun: 'All' } : {}) }
    const path = resourcePath({ group, version, plural }, metadata.namespace, metadata.name)
    try {
      await client.call({ method: 'PATCH', path, query, contentType: 'application/apply-patch+yaml', body: object })
    } catch (thrown) {
      const error = WeftError.from(thrown)
      const where = { path: `${kind} ${metadata.name}` }
      throw new WeftError(error.code, error.message, { where, hint: error.hint, cause: thrown })
    }
    onApplied(object)
  }
}
