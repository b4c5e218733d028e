import { annotation, defaultProxyId, hasAnnotation, interceptionMode, type Overlay, type TemplateContext } from './context.ts'
import { initImage } from './image.ts'
import { proxyResources } from './resources.ts'

const traffic = 'traffic.sidecar.istio.io'

/** Which connections are handed to the proxy: the annotations of the pod over the values of the mesh. */
export function interceptedTraffic(context: TemplateContext) {
  const { proxy } = context.settings.values.global
  const outboundPorts = (direction: 'include' | 'exclude', value: string): string | undefined => {
    const name = `${traffic}/${direction}OutboundPorts`
    return hasAnnotation(context, name) || value !== '' ? annotation(context, name, value) : undefined
  }
  return {
    mode: interceptionMode(context),
    includeIPRanges: annotation(context, `${traffic}/includeOutboundIPRanges`, proxy.includeIPRanges),
    excludeIPRanges: annotation(context, `${traffic}/excludeOutboundIPRanges`, proxy.excludeIPRanges),
    includeInboundPorts: annotation(context, `${traffic}/includeInboundPorts`, proxy.includeInboundPorts),
    excludeInboundPorts: withPort(
      annotation(context, 'status.sidecar.istio.io/port', proxy.statusPort),
      annotation(context, `${traffic}/excludeInboundPorts`, proxy.excludeInboundPorts),
    ),
    includeOutboundPorts: outboundPorts('include', proxy.includeOutboundPorts),
    excludeOutboundPorts: outboundPorts('exclude', proxy.excludeOutboundPorts),
    reroutedInterfaces:
      context.pod.metadata.annotations?.['istio.io/reroute-virtual-interfaces'] ??
      context.pod.metadata.annotations?.[`${traffic}/kubevirtInterfaces`],
    excludedInterfaces: context.pod.metadata.annotations?.[`${traffic}/excludeInterfaces`],
  }
}

/**
 * The init container that sets the packet filter up; with a CNI plugin that does so, the one that checks that it did. Its flags
 * are those of istio-iptables.
 */
export function interceptionContainer(context: TemplateContext): Overlay {
  const { settings, proxyConfig } = context
  const { global, pilot } = settings.values
  const wanted = interceptedTraffic(context)
  const excludedPorts = ['15090', '15021', wanted.excludeInboundPorts].filter((ports) => ports !== '').join(',')
  const optional = (flag: string, value: string | undefined): string[] => (value === undefined ? [] : [flag, value])
  const environment = Object.entries(proxyConfig.proxyMetadata ?? {}).sort(([one], [other]) => (one < other ? -1 : 1))
  return {
    name: pilot.cni.enabled ? 'istio-validation' : 'istio-init',
    image: initImage(context),
    args: [
      'istio-iptables',
      ...['-p', String(settings.mesh.proxyListenPort)],
      ...['-z', String(settings.mesh.proxyInboundListenPort)],
      ...['-u', String(defaultProxyId)],
      ...['-m', wanted.mode],
      ...['-i', wanted.includeIPRanges],
      ...['-x', wanted.excludeIPRanges],
      ...['-b', wanted.includeInboundPorts],
      ...['-d', excludedPorts],
      ...optional('-q', wanted.includeOutboundPorts),
      ...optional('-o', wanted.excludeOutboundPorts),
      ...optional('-k', wanted.reroutedInterfaces),
      ...optional('-c', wanted.excludedInterfaces),
      `--log_output_level=${annotation(context, 'sidecar.istio.io/agentLogLevel', global.logging.level)}`,
      ...(global.logAsJson ? ['--log_as_json'] : []),
      ...(pilot.cni.enabled ? ['--run-validation', '--skip-rule-apply'] : []),
      ...(!pilot.cni.enabled && global.proxy_init.forceApplyIptables ? ['--force-apply'] : []),
      ...(global.nativeNftables ? ['--native-nftables'] : []),
    ],
    ...(global.imagePullPolicy === '' ? {} : { imagePullPolicy: global.imagePullPolicy }),
    ...(environment.length === 0 ? {} : { env: environment.map(([name, value]) => ({ name, value })) }),
    ...proxyResources(context),
    securityContext: {
      allowPrivilegeEscalation: global.proxy.privileged,
      privileged: global.proxy.privileged,
      ...(pilot.cni.enabled ? unprivileged : ruleSetting),
      ...(Object.keys(global.proxy.seccompProfile).length > 0 ? { seccompProfile: global.proxy.seccompProfile } : {}),
    },
  }
}

const ruleSetting = {
  capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] },
  readOnlyRootFilesystem: false,
  runAsGroup: 0,
  runAsNonRoot: false,
  runAsUser: 0,
}

const unprivileged = {
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
  runAsGroup: defaultProxyId,
  runAsUser: defaultProxyId,
  runAsNonRoot: true,
}

/** A list of ports with one more, if it is not there and not 0. */
function withPort(port: string, list: string): string {
  const wanted = port.trim()
  const ports = list.split(',')
  if (wanted === '' || wanted === '0' || ports.includes(wanted)) return list
  return [...ports.map((each) => each.trim()).filter((each) => each !== ''), wanted].join(',')
}
