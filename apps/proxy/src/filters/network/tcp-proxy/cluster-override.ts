/** The filter state by which a filter before tcp_proxy names the cluster, as Envoy calls it. */
export const clusterOverride = 'envoy.tcp_proxy.cluster'
