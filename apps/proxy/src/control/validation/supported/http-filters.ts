import type { SupportTable } from './table.ts'

/** HTTP filters and what a route may say to them; each filter that the proxy gains is named here. */
export const httpFilterSupport: SupportTable = {
  'envoy.extensions.filters.http.router.v3.Router': '* -upstream_log -upstream_log_options -upstream_http_filters',
  'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication': '*',
  'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig': '*',
  'envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks': '* -retry_policy',
  'envoy.extensions.filters.http.fault.v3.HTTPFault': '*',
  'istio.mixer.v1.config.client.HttpClientConfig': '*',
  'istio.mixer.v1.config.client.ServiceConfig': '*',
}
