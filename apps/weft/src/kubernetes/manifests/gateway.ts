import type { InstallSettings } from '../install-settings.ts'
import { type KubernetesObject, labelsOf, role, scaling } from './object.ts'

/** The ingress gateway: a Deployment whose pods the webhook makes gateways of, its Service, account, rights and scaling. */
export function ingressGateway(settings: InstallSettings): KubernetesObject[] {
  const { parts, namespace } = settings
  const name = 'istio-ingressgateway'
  const selector = { istio: 'ingressgateway' }
  const labels = { ...labelsOf(name, settings), ...selector }
  const metadata = { name, namespace, labels }
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    // By this right Pilot knows that it may have the credentials that Gateways name.
    ...role(
      `${name}-sds`,
      name,
      settings,
      [{ apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] }],
      'namespace',
    ),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        type: parts.ingressGateway.serviceType,
        selector,
        ports: [
          { name: 'status-port', port: 15_021, targetPort: 15_021 },
          { name: 'http2', port: 80, targetPort: 80 },
          { name: 'https', port: 443, targetPort: 443 },
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: selector },
        template: {
          metadata: {
            // By its revision it is injected, whatever the namespace says.
            labels,
            annotations: { 'inject.istio.io/templates': 'gateway' },
          },
          spec: {
            serviceAccountName: name,
            securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
            containers: [
              {
                name: 'istio-proxy',
                image: 'auto',
                ports: [
                  { name: 'http', containerPort: 80, protocol: 'TCP' },
                  { name: 'https', containerPort: 443, protocol: 'TCP' },
                ],
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                resources: parts.ingressGateway.resources,
              },
            ],
          },
        },
      },
    },
    ...scaling(name, settings, selector, parts.ingressGateway),
  ]
}
