import { customResourceKinds } from '@weft/config/custom-resources/kinds'
import { stringify } from 'yaml'
import type { InstallSettings } from '../install-settings.ts'
import { type KubernetesObject, labelsOf, role, scaling } from './object.ts'
import { citadelFlags, servicePod } from './service-pod.ts'
import { webhookNames } from './webhook.ts'

const read = ['get', 'list', 'watch']

/** Pilot: Deployment, Services for proxies and the webhook, rights, configuration, scaling. */
export function pilot(settings: InstallSettings): KubernetesObject[] {
  const { injection, parts, namespace, suffix, meshConfig } = settings
  const name = `pilot${suffix}`
  const labels = labelsOf('pilot', settings)
  const selector = { app: 'pilot', 'istio.io/rev': injection.revision || 'default' }
  const { proxy } = injection.values.global
  const groups = [...new Set(customResourceKinds.map(({ group }) => group))].sort()
  const trustDomain = injection.mesh.trustDomain
  const { injector, validator } = webhookNames(settings)
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, labels } },
    ...role(
      `weft-pilot-${namespace}${suffix}`,
      name,
      settings,
      [
        { apiGroups: [''], resources: ['services', 'pods', 'nodes', 'namespaces'], verbs: read },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
        // What Gateways name as credentialName, and whether a gateway's account may have it.
        { apiGroups: [''], resources: ['secrets'], verbs: read },
        { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
        { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: read },
        { apiGroups: groups, resources: ['*'], verbs: read },
        { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'ingressclasses'], verbs: read },
        { apiGroups: ['networking.k8s.io'], resources: ['ingresses/status'], verbs: ['get', 'update', 'patch'] },
        { apiGroups: groups, resources: ['*/status'], verbs: ['get', 'update', 'patch'] },
        // To list and watch takes the right to all; to change, that to ours alone.
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
          verbs: read,
        },
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['mutatingwebhookconfigurations'],
          resourceNames: [injector],
          verbs: ['patch'],
        },
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['validatingwebhookconfigurations'],
          resourceNames: [validator],
          verbs: ['patch'],
        },
      ],
      'cluster',
    ),
    ...role(
      name,
      name,
      settings,
      [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] }],
      'namespace',
    ),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `istio${suffix}`, namespace, labels }, data: { mesh: meshConfig } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `istio-sidecar-injector${suffix}`, namespace, labels },
      data: { values: injectionValues(settings) },
    },
    serviceOf({ name, namespace, labels }, selector, [
      { name: 'grpc-xds', port: 15_012, targetPort: 15_012, appProtocol: 'grpc' },
      { name: 'https-webhook', port: 443, targetPort: 15_017, appProtocol: 'https' },
    ]),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels },
      spec: {
        selector: { matchLabels: selector },
        strategy: { rollingUpdate: { maxSurge: '100%', maxUnavailable: '25%' } },
        template: servicePod(
          {
            part: 'pilot',
            account: name,
            labels,
            args: [
              '--grpc-address=0.0.0.0:15012',
              '--admin-address=0.0.0.0:15014',
              '--webhook-address=0.0.0.0:15017',
              `--webhook-dns-name=${name}.${namespace}.svc`,
              '--registry=kubernetes',
              '--config-source=kubernetes',
              '--mesh-config=/etc/istio/config/mesh',
              '--injection-values=/etc/istio/inject/values',
              `--native-sidecars=${injection.nativeSidecars}`,
              `--domain=${proxy.clusterDomain}`,
              `--trust-domain=${trustDomain}`,
              ...(injection.revision === '' ? [] : [`--revision=${injection.revision}`]),
              ...citadelFlags(settings),
            ],
            ports: [
              { name: 'grpc-xds', containerPort: 15_012 },
              { name: 'https-webhook', containerPort: 15_017 },
              { name: 'http-monitoring', containerPort: 15_014 },
            ],
            resources: parts.pilot.resources,
            configMaps: { '/etc/istio/config': `istio${suffix}`, '/etc/istio/inject': `istio-sidecar-injector${suffix}` },
            joins: true,
          },
          settings,
        ),
      },
    },
    ...scaling(name, settings, selector, parts.pilot),
  ]
}

/** The values that injection reads; the rest of them says nothing to Pilot. */
function injectionValues({ injection }: InstallSettings): string {
  const { global, sidecarInjectorWebhook, gateways, pilot: pilotValues } = injection.values
  const { cni, crlConfigMapName } = pilotValues
  return stringify(
    { global, sidecarInjectorWebhook, gateways, pilot: { cni, crlConfigMapName } },
    { aliasDuplicateObjects: false },
  )
}

/** Citadel: one pod with the root key on a volume of its own, and the right to ask who bears a token. */
export function citadel(settings: InstallSettings): KubernetesObject[] {
  const { parts, injection, namespace } = settings
  const labels = labelsOf('citadel', settings)
  const metadata = { name: 'citadel', namespace, labels }
  const selector = { app: 'citadel' }
  const rootMap = injection.values.global.trustBundleName || 'istio-ca-root-cert'
  const { storage, storageClass } = parts.citadel
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    ...role(
      `weft-citadel-${namespace}`,
      'citadel',
      settings,
      [
        { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
        { apiGroups: [''], resources: ['namespaces'], verbs: read },
        // What is to be made has no name yet by which the right could be narrowed.
        { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
        { apiGroups: [''], resources: ['configmaps'], resourceNames: [rootMap], verbs: [...read, 'patch'] },
      ],
      'cluster',
    ),
    serviceOf(metadata, selector, [{ name: 'grpc-ca', port: 15_012, targetPort: 15_012, appProtocol: 'grpc' }]),
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata,
      spec: {
        serviceName: 'citadel',
        // Two would have two roots.
        replicas: 1,
        selector: { matchLabels: selector },
        template: servicePod(
          {
            part: 'citadel',
            account: 'citadel',
            labels,
            args: [
              '--grpc-address=0.0.0.0:15012',
              '--admin-address=0.0.0.0:15014',
              '--data-dir=/var/lib/citadel/data',
              `--trust-domain=${injection.mesh.trustDomain}`,
              `--dns-name=citadel.${namespace}.svc`,
              '--kubernetes=review',
              `--kubernetes-audience=${injection.values.global.sds.token.aud}`,
              `--root-config-map=${rootMap}`,
            ],
            ports: [
              { name: 'grpc-ca', containerPort: 15_012 },
              { name: 'http-monitoring', containerPort: 15_014 },
            ],
            resources: parts.citadel.resources,
            claims: { '/var/lib/citadel': 'data' },
            joins: false,
          },
          settings,
        ),
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: {
              accessModes: ['ReadWriteOnce'],
              resources: { requests: { storage } },
              ...(storageClass === '' ? {} : { storageClassName: storageClass }),
            },
          },
        ],
      },
    },
  ]
}

/** Mixer: Deployment, Service, scaling; it needs no rights. */
export function mixer(settings: InstallSettings): KubernetesObject[] {
  const { parts, namespace } = settings
  const labels = labelsOf('mixer', settings)
  const metadata = { name: 'mixer', namespace, labels }
  const selector = { app: 'mixer' }
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    serviceOf(metadata, selector, [{ name: 'grpc-mixer', port: 9_091, targetPort: 9_091, appProtocol: 'grpc' }]),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: selector },
        template: servicePod(
          {
            part: 'mixer',
            account: 'mixer',
            labels,
            args: ['--grpc-address=0.0.0.0:9091', '--admin-address=0.0.0.0:15014', ...citadelFlags(settings)],
            ports: [
              { name: 'grpc-mixer', containerPort: 9_091 },
              { name: 'http-monitoring', containerPort: 15_014 },
            ],
            resources: parts.mixer.resources,
            joins: true,
          },
          settings,
        ),
      },
    },
    ...scaling('mixer', settings, selector, parts.mixer),
  ]
}

/** A Service with these ports, and that of its admin server. */
function serviceOf(metadata: KubernetesObject['metadata'], selector: Record<string, string>, ports: object[]): KubernetesObject {
  const monitoring = { name: 'http-monitoring', port: 15_014, targetPort: 15_014, appProtocol: 'http' }
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector, ports: [...ports, monitoring] } }
}
