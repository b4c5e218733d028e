import { names } from '../annotations.ts'
import { proxyContainerName } from '../pod.ts'
import { proxyConfigJson } from '../proxy-config.ts'
import { annotation, applicationContainers, hasAnnotation, type Overlay, type TemplateContext } from './context.ts'
import { proxyImage } from './image.ts'
import { openTelemetryAttributes } from './open-telemetry.ts'

/** What sidecar and gateway have in common of the proxy's container: image, command, environment and volumes. */
export function proxyContainer(context: TemplateContext, role: 'sidecar' | 'router'): Overlay {
  const { global } = context.settings.values
  return {
    name: proxyContainerName,
    image: proxyImage(context),
    ports: [{ containerPort: 15_090, protocol: 'TCP', name: 'http-envoy-prom' }],
    args: [
      'proxy',
      role,
      '--domain',
      `$(POD_NAMESPACE).svc.${global.proxy.clusterDomain}`,
      `--proxyLogLevel=${annotation(context, 'sidecar.istio.io/logLevel', global.proxy.logLevel)}`,
      `--proxyComponentLogLevel=${annotation(context, 'sidecar.istio.io/componentLogLevel', global.proxy.componentLogLevel)}`,
      `--log_output_level=${annotation(context, 'sidecar.istio.io/agentLogLevel', global.logging.level)}`,
      ...(global.sts.servicePort === 0 ? [] : [`--stsPort=${global.sts.servicePort}`]),
      ...(global.logAsJson ? ['--log_as_json'] : []),
      ...(role === 'sidecar' && global.proxy.outlierLogPath !== '' ? [`--outlierLogPath=${global.proxy.outlierLogPath}`] : []),
    ],
    env: environment(context, role),
    ...(global.imagePullPolicy === '' ? {} : { imagePullPolicy: global.imagePullPolicy }),
    volumeMounts: volumeMounts(context, role),
  }
}

/** The probe that asks the proxy itself whether it is ready. */
export function readinessProbe(timing: {
  initialDelaySeconds: number
  periodSeconds: number
  failureThreshold: number
}): Overlay {
  return { httpGet: { path: '/healthz/ready', port: 15_021 }, timeoutSeconds: 3, ...timing }
}

function environment(context: TemplateContext, role: 'sidecar' | 'router'): Overlay[] {
  const { settings, pod, workload, proxyConfig } = context
  const { global } = settings.values
  const meshId = global.meshID || trustDomain(context)
  const workloadName = (role === 'sidecar' ? pod.metadata.labels?.['service.istio.io/workload-name'] : undefined) || workload.name
  const owner = `kubernetes://apis/${workload.apiVersion}/namespaces/${workload.namespace || 'default'}/${workload.kind.toLowerCase()}s/${workload.name}`
  const mode =
    (role === 'sidecar' ? pod.metadata.annotations?.[names.interceptionMode] : undefined) || proxyConfig.interceptionMode
  const attributes = role === 'sidecar' ? openTelemetryAttributes(context) : ''
  const legacyProbes = role === 'sidecar' && settings.mesh.inboundTrafficPolicy.mode === 'LOCALHOST'
  return [
    ...(legacyProbes ? [{ name: 'REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION', value: 'true' }] : []),
    { name: 'PILOT_CERT_PROVIDER', value: global.pilotCertProvider },
    { name: 'CA_ADDR', value: global.caAddress },
    fromField('POD_NAME', 'metadata.name'),
    fromField('POD_NAMESPACE', 'metadata.namespace'),
    fromField('INSTANCE_IP', 'status.podIP'),
    fromField('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    fromField('HOST_IP', 'status.hostIP'),
    fromResource('ISTIO_CPU_LIMIT', 'limits.cpu'),
    { name: 'PROXY_CONFIG', value: `${proxyConfigJson(proxyConfig)}\n` },
    { name: 'ISTIO_META_POD_PORTS', value: JSON.stringify(pod.spec.containers.flatMap(({ ports }) => ports ?? [])) },
    { name: 'ISTIO_META_APP_CONTAINERS', value: applicationContainers(context).join(',') },
    // Of Go's runtime: for an image of Istio's in place of ours.
    fromResource('GOMEMLIMIT', 'limits.memory'),
    fromResource('GOMAXPROCS', 'limits.cpu'),
    { name: 'ISTIO_META_CLUSTER_ID', value: global.multiCluster.clusterName || 'Kubernetes' },
    fromField('ISTIO_META_NODE_NAME', 'spec.nodeName'),
    { name: 'ISTIO_META_INTERCEPTION_MODE', value: mode ?? 'REDIRECT' },
    ...(global.network === '' ? [] : [{ name: 'ISTIO_META_NETWORK', value: global.network }]),
    ...(workloadName === '' ? [] : [{ name: 'ISTIO_META_WORKLOAD_NAME', value: workloadName }]),
    ...(workload.apiVersion === '' || workload.name === '' ? [] : [{ name: 'ISTIO_META_OWNER', value: owner }]),
    ...(hasAnnotation(context, names.bootstrapOverride)
      ? [{ name: 'ISTIO_BOOTSTRAP_OVERRIDE', value: '/etc/istio/custom-bootstrap/custom_bootstrap.json' }]
      : []),
    ...(meshId === '' ? [] : [{ name: 'ISTIO_META_MESH_ID', value: meshId }]),
    ...(trustDomain(context) === '' ? [] : [{ name: 'TRUST_DOMAIN', value: trustDomain(context) }]),
    ...(attributes === '' ? [] : [{ name: 'OTEL_RESOURCE_ATTRIBUTES', value: attributes }]),
    ...Object.entries(proxyConfig.proxyMetadata ?? {})
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, value]) => ({ name, value })),
  ]
}

function trustDomain({ settings }: TemplateContext): string {
  return settings.mesh.trustDomain || settings.values.global.trustDomain
}

function fromField(name: string, fieldPath: string): Overlay {
  return { name, valueFrom: { fieldRef: { fieldPath } } }
}

function fromResource(name: string, resource: string): Overlay {
  return { name, valueFrom: { resourceFieldRef: { resource, divisor: '1' } } }
}

function volumeMounts(context: TemplateContext, role: 'sidecar' | 'router'): Overlay[] {
  const { global } = context.settings.values
  const ownRoot = global.pilotCertProvider === 'istiod'
  return [
    { name: 'workload-socket', mountPath: '/var/run/secrets/workload-spiffe-uds' },
    { name: 'credential-socket', mountPath: '/var/run/secrets/credential-uds' },
    { name: 'workload-certs', mountPath: '/var/run/secrets/workload-spiffe-credentials' },
    ...(ownRoot ? [{ name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio' }] : []),
    ...(ownRoot && role === 'sidecar' ? [{ name: 'istio-ca-crl', mountPath: '/var/run/secrets/istio/crl' }] : []),
    { name: 'istio-data', mountPath: '/var/lib/istio/data' },
    ...(hasAnnotation(context, names.bootstrapOverride)
      ? [{ name: 'custom-bootstrap-volume', mountPath: '/etc/istio/custom-bootstrap' }]
      : []),
    { name: 'istio-envoy', mountPath: '/etc/istio/proxy' },
    { name: 'istio-token', mountPath: '/var/run/secrets/tokens' },
    ...(global.mountMtlsCerts ? [{ name: 'istio-certs', mountPath: '/etc/certs/', readOnly: true }] : []),
    { name: 'istio-podinfo', mountPath: '/etc/istio/pod' },
    ...(role === 'sidecar' ? userItems(context, names.userVolumeMount) : []),
  ]
}

/** The volumes that the proxy's mounts name, and the secrets that its image is pulled with. */
export function proxyVolumes(context: TemplateContext, role: 'sidecar' | 'router'): Overlay {
  const { values } = context.settings
  const { global } = values
  const ownRoot = global.pilotCertProvider === 'istiod'
  const override = context.pod.metadata.annotations?.[names.bootstrapOverride]
  const podInfo = ['labels', 'annotations'].map((path) => ({ path, fieldRef: { fieldPath: `metadata.${path}` } }))
  const token = { path: 'istio-token', expirationSeconds: 43_200, audience: global.sds.token.aud }
  return {
    volumes: [
      { name: 'workload-socket', emptyDir: {} },
      { name: 'credential-socket', emptyDir: {} },
      { name: 'workload-certs', emptyDir: {} },
      ...(override === undefined ? [] : [{ name: 'custom-bootstrap-volume', configMap: { name: override } }]),
      { name: 'istio-envoy', emptyDir: { medium: 'Memory' } },
      { name: 'istio-data', emptyDir: {} },
      { name: 'istio-podinfo', downwardAPI: { items: podInfo } },
      { name: 'istio-token', projected: { sources: [{ serviceAccountToken: token }] } },
      ...(ownRoot ? [{ name: 'istiod-ca-cert', configMap: { name: global.trustBundleName || 'istio-ca-root-cert' } }] : []),
      ...(role === 'sidecar'
        ? [{ name: 'istio-ca-crl', configMap: { name: values.pilot.crlConfigMapName || 'istio-ca-crl', optional: true } }]
        : []),
      ...(global.mountMtlsCerts
        ? [
            {
              name: 'istio-certs',
              secret: { optional: true, secretName: `istio.${context.pod.spec.serviceAccountName || 'default'}` },
            },
          ]
        : []),
      ...(role === 'sidecar' ? userItems(context, names.userVolume) : []),
    ],
    ...(global.imagePullSecrets.length === 0 ? {} : { imagePullSecrets: global.imagePullSecrets.map((name) => ({ name })) }),
  }
}

/** Volumes or mounts that an annotation adds: a JSON object by name, checked before. */
function userItems({ pod }: TemplateContext, name: string): Overlay[] {
  const items = JSON.parse(pod.metadata.annotations?.[name] ?? '{}') as Record<string, Overlay>
  return Object.entries(items)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([item, value]) => ({ name: item, ...value }))
}
