import { customResourceDefinitions } from '@weft/config/custom-resources/definitions'
import type { InstallSettings } from '../install-settings.ts'
import { citadel, mixer, pilot } from './control-plane.ts'
import { ingressGateway } from './gateway.ts'
import type { KubernetesObject } from './object.ts'
import { injectorConfiguration, validatorConfiguration } from './webhook.ts'

/**
 * All objects of an installation, in the order in which they are to be applied. A further revision is a Pilot with its webhooks
 * beside what is there.
 */
export function installation(settings: InstallSettings): KubernetesObject[] {
  const { parts, namespace, suffix } = settings
  const own = [...pilot(settings), injectorConfiguration(settings), validatorConfiguration(settings)]
  if (suffix !== '') return own
  const definitions: KubernetesObject[] = parts.base.enableIstioConfigCRDs
    ? customResourceDefinitions().map((definition) => ({ ...definition }))
    : []
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: { 'app.kubernetes.io/part-of': 'weft' } } },
    ...definitions,
    ...citadel(settings),
    ...(parts.mixer.enabled ? mixer(settings) : []),
    ...own,
    ...(parts.ingressGateway.enabled ? ingressGateway(settings) : []),
  ]
}
