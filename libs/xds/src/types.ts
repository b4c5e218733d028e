/** Type URLs of the resources that travel over xDS v3. */
export const typeUrls = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  extension: 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
  runtime: 'type.googleapis.com/envoy.service.runtime.v3.Runtime',
} as const

/** By this type clients tell how they are, as Istio's agents do: a request with an error is of one that takes no requests. */
export const healthType = 'type.googleapis.com/istio.v1.HealthInformation'

/**
 * The order in which a change is told: what is referred to before what refers to it (make before break). Types that are
 * not listed have no place in it and go last.
 */
export const pushOrder: readonly string[] = [
  typeUrls.secret,
  typeUrls.cluster,
  typeUrls.endpoint,
  typeUrls.extension,
  typeUrls.listener,
  typeUrls.route,
]

/**
 * Types whose answers in the state-of-the-world variant always carry the whole set, and for which an empty list of
 * names in the first request means all (xDS protocol, "How the client specifies what resources to return").
 */
export const wholeSetTypes: ReadonlySet<string> = new Set([typeUrls.cluster, typeUrls.listener])

/** The short name people know a type by: CDS, EDS, LDS, RDS, SDS, ECDS, RTDS. */
export function shortTypeName(typeUrl: string): string {
  const names: Record<string, string> = {
    [typeUrls.cluster]: 'CDS',
    [typeUrls.endpoint]: 'EDS',
    [typeUrls.listener]: 'LDS',
    [typeUrls.route]: 'RDS',
    [typeUrls.secret]: 'SDS',
    [typeUrls.extension]: 'ECDS',
    [typeUrls.runtime]: 'RTDS',
  }
  return names[typeUrl] ?? typeUrl.slice(typeUrl.lastIndexOf('.') + 1)
}
