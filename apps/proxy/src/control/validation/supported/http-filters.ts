import type { SupportTable } from './table.ts'

/** Fields of HTTP filters' configurations that are not supported; which filters there are, their registry says. */
export const httpFilterSupport: SupportTable = {
  'envoy.extensions.filters.http.router.v3.Router': '~dynamic_stats ~start_child_span ~suppress_grpc_request_failure_code_stats',
  'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication': '*',
  'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig': '*',
  'envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks': '* -retry_policy',
  'envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig': '*',
  'envoy.extensions.filters.http.fault.v3.HTTPFault': '* -response_rate_limit_percent_runtime ~disable_downstream_cluster_stats',
}
