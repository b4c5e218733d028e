import { commonMetadata, defaultProxyId, type Overlay, type TemplateContext } from './context.ts'
import { proxyContainer, proxyVolumes, readinessProbe } from './proxy-container.ts'

/** The template `gateway`: the pod's only container becomes a proxy that takes traffic for its own ports. */
export function gatewayTemplate(context: TemplateContext): Overlay {
  const { values } = context.settings
  const { readinessInitialDelaySeconds, readinessPeriodSeconds, readinessFailureThreshold, lifecycle } = values.global.proxy
  const given = values.gateways.securityContext
  const lowPorts = { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }] }
  return {
    metadata: commonMetadata(context, Number.POSITIVE_INFINITY),
    spec: {
      securityContext: Object.keys(given).length > 0 ? given : lowPorts,
      containers: [
        {
          ...proxyContainer(context, 'router'),
          ...(Object.keys(lifecycle).length > 0 ? { lifecycle } : {}),
          securityContext: { runAsUser: defaultProxyId, runAsGroup: defaultProxyId },
          readinessProbe: readinessProbe({
            initialDelaySeconds: readinessInitialDelaySeconds,
            periodSeconds: readinessPeriodSeconds,
            failureThreshold: readinessFailureThreshold,
          }),
        },
      ],
      ...proxyVolumes(context, 'router'),
    },
  }
}
