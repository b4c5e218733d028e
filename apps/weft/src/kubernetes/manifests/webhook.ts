import { customResourceKinds } from '@weft/config/custom-resources/kinds'
import { ignoredNamespaces } from '@weft/inject/decide'
import type { InstallSettings } from '../install-settings.ts'
import type { KubernetesObject } from './object.ts'

const inject = 'sidecar.istio.io/inject'
const revisionLabel = 'istio.io/rev'
const namespaceLabel = 'istio-injection'
const absent = (key: string) => ({ key, operator: 'DoesNotExist' })
const has = (key: string, ...values: string[]) => ({ key, operator: 'In', values })
const hasNot = (key: string, ...values: string[]) => ({ key, operator: 'NotIn', values })

/** The names of the webhook configurations of a control plane, into which its Pilot writes the roots. */
export function webhookNames({ namespace, suffix }: InstallSettings): { injector: string; validator: string } {
  return {
    injector: `istio-sidecar-injector${suffix}${namespace === 'istio-system' ? '' : `-${namespace}`}`,
    validator: `istio-validator${suffix}-${namespace}`,
  }
}

/**
 * Which pods reach the webhook, with the labels of Istio: by revision of their namespace or their own; for the default control
 * plane also namespaces with `istio-injection: enabled` and pods that ask. Pilot writes the roots in.
 */
export function injectorConfiguration(settings: InstallSettings): KubernetesObject {
  const { injection, suffix } = settings
  const revision = injection.revision || 'default'
  const { reinvocationPolicy, enableNamespacesByDefault } = injection.values.sidecarInjectorWebhook
  const webhook = (prefix: string, ofNamespace: unknown[], ofPod: unknown[]) => ({
    name: `${prefix}.sidecar-injector.istio.io`,
    clientConfig: clientConfig('/inject', settings),
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
    metadata: { name: webhookNames(settings).injector, labels: labels('sidecar-injector', settings) },
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

/**
 * Which configuration Pilot is asked about before the API server takes it: all of our kinds; for a revision's Pilot those that
 * name it. While it is away all is taken, as what is wrong is left out of force anyway.
 */
export function validatorConfiguration(settings: InstallSettings): KubernetesObject {
  const { injection, suffix } = settings
  const groups = [...new Set(customResourceKinds.map(({ group }) => group))].sort()
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: webhookNames(settings).validator, labels: labels('config-validator', settings) },
    webhooks: [
      {
        name: 'rev.validation.istio.io',
        clientConfig: clientConfig('/validate', settings),
        rules: [{ operations: ['CREATE', 'UPDATE'], apiGroups: groups, apiVersions: ['*'], resources: ['*'], scope: '*' }],
        ...(suffix === '' ? {} : { objectSelector: { matchExpressions: [has(revisionLabel, injection.revision)] } }),
        admissionReviewVersions: ['v1', 'v1beta1'],
        sideEffects: 'None',
        failurePolicy: 'Ignore',
        timeoutSeconds: 10,
      },
    ],
  }
}

function clientConfig(path: string, { namespace, suffix }: InstallSettings): object {
  return { service: { name: `pilot${suffix}`, namespace, path, port: 443 } }
}

/** By these Pilot finds its own. */
function labels(app: string, { injection }: InstallSettings): Record<string, string> {
  return { app, [revisionLabel]: injection.revision || 'default', 'app.kubernetes.io/part-of': 'weft' }
}
