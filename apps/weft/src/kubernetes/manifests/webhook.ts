import { ignoredNamespaces } from '@weft/inject/decide'
import type { InstallSettings } from '../install-settings.ts'
import { webhookName } from './control-plane.ts'
import type { KubernetesObject } from './object.ts'

const inject = 'sidecar.istio.io/inject'
const revisionLabel = 'istio.io/rev'
const namespaceLabel = 'istio-injection'
const absent = (key: string) => ({ key, operator: 'DoesNotExist' })
const has = (key: string, ...values: string[]) => ({ key, operator: 'In', values })
const hasNot = (key: string, ...values: string[]) => ({ key, operator: 'NotIn', values })

/**
 * Which pods reach the webhook, with the labels of Istio: by revision of their namespace or their own; for the default control
 * plane also namespaces with `istio-injection: enabled` and pods that ask. Pilot writes the roots in.
 */
export function webhookConfiguration(settings: InstallSettings): KubernetesObject {
  const { injection, namespace, suffix } = settings
  const revision = injection.revision || 'default'
  const { reinvocationPolicy, enableNamespacesByDefault } = injection.values.sidecarInjectorWebhook
  const webhook = (prefix: string, ofNamespace: unknown[], ofPod: unknown[]) => ({
    name: `${prefix}.sidecar-injector.istio.io`,
    clientConfig: { service: { name: `pilot${suffix}`, namespace, path: '/inject', port: 443 } },
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: '*' }],
    namespaceSelector: { matchExpressions: ofNamespace },
    objectSelector: { matchExpressions: ofPod },
    admissionReviewVersions: ['v1', 'v1beta1'],
    sideEffects: 'None',
    failurePolicy: 'Fail',
    reinvocationPolicy,
    timeoutSeconds: 10,
  })
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      name: webhookName(settings),
      labels: { app: 'sidecar-injector', [revisionLabel]: revision, 'app.kubernetes.io/part-of': 'weft' },
    },
    webhooks: [
      webhook('rev.namespace', [has(revisionLabel, revision), absent(namespaceLabel)], [hasNot(inject, 'false')]),
      webhook(
        'rev.object',
        [absent(revisionLabel), absent(namespaceLabel)],
        [hasNot(inject, 'false'), has(revisionLabel, revision)],
      ),
      ...(suffix === ''
        ? [
            webhook('namespace', [has(namespaceLabel, 'enabled')], [hasNot(inject, 'false')]),
            webhook('object', [absent(namespaceLabel), absent(revisionLabel)], [has(inject, 'true'), absent(revisionLabel)]),
          ]
        : []),
      ...(suffix === '' && enableNamespacesByDefault
        ? [
            webhook(
              'auto',
              [absent(namespaceLabel), absent(revisionLabel), hasNot('kubernetes.io/metadata.name', ...ignoredNamespaces)],
              [absent(inject), absent(revisionLabel)],
            ),
          ]
        : []),
    ],
  }
}
