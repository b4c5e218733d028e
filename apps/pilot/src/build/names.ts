/** Names of resources, as Istio gives them: tools, dashboards and log pipelines know them. */

/** `outbound|9080|v1|reviews.default.svc.cluster.local`; the subset is empty for the whole service. */
export function outboundClusterName(port: number, subset: string, host: string): string {
  return `outbound|${port}|${subset}|${host}`
}

/** `inbound|9080||`. */
export function inboundClusterName(port: number): string {
  return `inbound|${port}||`
}

/** The server name a sidecar presents to another: `outbound_.9080_.v1_.reviews.default.svc.cluster.local`. */
export function serverNameOf(port: number, subset: string, host: string): string {
  return `outbound_.${port}_.${subset}_.${host}`
}

export const clusterNames = {
  blackHole: 'BlackHoleCluster',
  passthrough: 'PassthroughCluster',
  inboundPassthrough: 'InboundPassthroughCluster',
  forwardRest: 'AllowAnyDynamicDNSCluster',
} as const
