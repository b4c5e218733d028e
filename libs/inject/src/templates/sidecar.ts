import { names } from '../annotations.ts'
import { annotation, commonMetadata, defaultProxyId, interceptionMode, type Overlay, type TemplateContext } from './context.ts'
import { interceptedTraffic, interceptionContainer } from './interception.ts'
import { proxyContainer, proxyVolumes, readinessProbe } from './proxy-container.ts'
import { proxyResources } from './resources.ts'

/** The template `sidecar`: a proxy beside the application, and what hands it the pod's traffic. */
export function sidecarTemplate(context: TemplateContext): Overlay {
  const { settings, pod } = context
  const native = (pod.metadata.annotations?.[names.nativeSidecar] || String(settings.nativeSidecars)) !== 'false'
  const proxy = sidecarContainer(context, native)
  const initContainers = [
    ...(interceptionMode(context) === 'NONE' ? [] : [interceptionContainer(context)]),
    ...(native ? [proxy] : []),
  ]
  return {
    metadata: metadata(context),
    spec: { initContainers, ...(native ? {} : { containers: [proxy] }), ...proxyVolumes(context, 'sidecar') },
  }
}

function metadata(context: TemplateContext): Overlay {
  const { pod, proxyConfig, settings } = context
  const labels = pod.metadata.labels ?? {}
  const { labels: canonical, annotations } = commonMetadata(context, 63)
  const tunnel = proxyConfig.proxyMetadata?.['ISTIO_META_ENABLE_HBONE'] === 'true'
  return {
    labels: {
      'security.istio.io/tlsMode': labels['security.istio.io/tlsMode'] || 'istio',
      ...(tunnel ? { 'networking.istio.io/tunnel': labels['networking.istio.io/tunnel'] || 'http' } : {}),
      ...canonical,
    },
    annotations: { ...annotations, ...(settings.values.pilot.cni.enabled ? cniAnnotations(context) : {}) },
  }
}

/** What a CNI plugin reads to set the packet filter up, in place of an init container. */
function cniAnnotations(context: TemplateContext): Overlay {
  const wanted = interceptedTraffic(context)
  const annotations = context.pod.metadata.annotations ?? {}
  const traffic = 'traffic.sidecar.istio.io'
  const network = 'k8s.v1.cni.cncf.io/networks'
  const set = (name: string, value: string | undefined): Overlay => (value ? { [name]: value } : {})
  return {
    ...(context.settings.values.pilot.cni.provider === 'multus' ? { [network]: withNetwork(annotations[network] ?? '') } : {}),
    [names.interceptionMode]: wanted.mode,
    ...set(`${traffic}/includeOutboundIPRanges`, wanted.includeIPRanges),
    ...set(`${traffic}/excludeOutboundIPRanges`, wanted.excludeIPRanges),
    [`${traffic}/includeInboundPorts`]: wanted.includeInboundPorts,
    [`${traffic}/excludeInboundPorts`]: wanted.excludeInboundPorts,
    ...(wanted.includeOutboundPorts === undefined ? {} : { [`${traffic}/includeOutboundPorts`]: wanted.includeOutboundPorts }),
    ...(wanted.excludeOutboundPorts === undefined ? {} : { [`${traffic}/excludeOutboundPorts`]: wanted.excludeOutboundPorts }),
    ...set(`${traffic}/kubevirtInterfaces`, annotations[`${traffic}/kubevirtInterfaces`]),
    ...set('istio.io/reroute-virtual-interfaces', annotations['istio.io/reroute-virtual-interfaces']),
    ...set(`${traffic}/excludeInterfaces`, wanted.excludedInterfaces),
  }
}

/** Multus' list of networks, in either of its spellings, with Istio's CNI in it. */
function withNetwork(networks: string): string {
  const [namespace, name] = ['default', 'istio-cni']
  if (networks === '') return `${namespace}/${name}`
  const end = networks.lastIndexOf(']')
  if (end === -1) {
    const known = networks.split(',').some((each) => each.trim() === `${namespace}/${name}`)
    return known ? networks : `${networks}, ${namespace}/${name}`
  }
  try {
    const known: unknown = JSON.parse(networks)
    const ours = Array.isArray(known) && known.some((each) => each?.name === name && each?.namespace === namespace)
    return ours ? networks : `${networks.slice(0, end)}, {"name": "${name}", "namespace": "${namespace}"}${networks.slice(end)}`
  } catch {
    // Multus itself tells what is wrong with it.
    return networks
  }
}

function sidecarContainer(context: TemplateContext, native: boolean): Overlay {
  const { proxy } = context.settings.values.global
  const lifecycle = sidecarLifecycle(context, native)
  const probed = annotation(context, names.statusPort, proxy.statusPort) !== '0'
  const timing = (name: string, otherwise: number): number =>
    Number(annotation(context, `readiness.status.sidecar.istio.io/${name}`, otherwise))
  const ready = readinessProbe({
    initialDelaySeconds: timing('initialDelaySeconds', proxy.readinessInitialDelaySeconds),
    periodSeconds: timing('periodSeconds', proxy.readinessPeriodSeconds),
    failureThreshold: timing('failureThreshold', proxy.readinessFailureThreshold),
  })
  const start = readinessProbe({
    initialDelaySeconds: 0,
    periodSeconds: 1,
    failureThreshold: proxy.startupProbe.failureThreshold,
  })
  return {
    ...proxyContainer(context, 'sidecar'),
    ...(native ? { restartPolicy: 'Always' } : {}),
    ...(lifecycle === undefined ? {} : { lifecycle }),
    ...(probed && proxy.startupProbe.enabled ? { startupProbe: start } : {}),
    ...(probed ? { readinessProbe: ready } : {}),
    securityContext: securityContext(context),
    ...proxyResources(context),
  }
}

/** Holds the application until the proxy is up; as a native sidecar the kubelet does, and the proxy drains before it ends. */
function sidecarLifecycle(context: TemplateContext, native: boolean): Overlay | undefined {
  const { proxy } = context.settings.values.global
  if (Object.keys(proxy.lifecycle).length > 0) return proxy.lifecycle
  if (native) {
    const port = annotation(context, names.statusPort, proxy.statusPort)
    return { preStop: { exec: { command: ['pilot-agent', 'request', `--debug-port=${port}`, 'POST', 'drain'] } } }
  }
  if (!context.proxyConfig.holdApplicationUntilProxyStarts && !proxy.holdApplicationUntilProxyStarts) return undefined
  return { postStart: { exec: { command: ['pilot-agent', 'wait'] } } }
}

function securityContext(context: TemplateContext): Overlay {
  const { proxy } = context.settings.values.global
  const tproxy = interceptionMode(context) === 'TPROXY'
  const lowPorts = annotation(context, 'sidecar.istio.io/capNetBindService', proxy.capNetBindService) === 'true'
  const seccompProfile = Object.keys(proxy.seccompProfile).length > 0 ? { seccompProfile: proxy.seccompProfile } : {}
  const traced = context.proxyConfig.proxyMetadata?.['IPTABLES_TRACE_LOGGING'] === 'true'
  if (traced) {
    return {
      allowPrivilegeEscalation: true,
      capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
      privileged: true,
      readOnlyRootFilesystem: true,
      runAsGroup: defaultProxyId,
      runAsNonRoot: false,
      runAsUser: 0,
      ...seccompProfile,
    }
  }
  const added = [...(tproxy ? ['NET_ADMIN'] : []), ...(lowPorts ? ['NET_BIND_SERVICE'] : [])]
  const root = added.length > 0
  return {
    allowPrivilegeEscalation: proxy.privileged,
    capabilities: { ...(root ? { add: added } : {}), drop: ['ALL'] },
    privileged: proxy.privileged,
    readOnlyRootFilesystem: true,
    runAsNonRoot: !root,
    runAsUser: root ? 0 : defaultProxyId,
    runAsGroup: defaultProxyId,
    ...seccompProfile,
  }
}
