import type { SupportTable } from './table.ts'

/** Route configurations. */
export const routeSupport: SupportTable = {
  'envoy.config.route.v3.RouteConfiguration': '* -vhds -cluster_specifier_plugins',
  'envoy.config.route.v3.VirtualHost': '* -retry_policy_typed_config',
  'envoy.config.route.v3.Route': '*',
  'envoy.config.route.v3.FilterAction': '* ~action',
  'envoy.config.route.v3.RouteAction':
    '* -cluster_specifier_plugin -inline_cluster_specifier_plugin ~early_data_policy ' +
    '-retry_policy_typed_config  ' +
    '-internal_redirect_action -max_internal_redirects',
  'envoy.config.route.v3.RetryPolicy': '* -retry_options_predicates',
  'envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig': '*',
  'envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig': '*',
  'envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig': '*',
  'envoy.config.route.v3.WeightedCluster': '* ~total_weight',
  'envoy.config.route.v3.WeightedCluster.ClusterWeight': '*',
  'envoy.config.route.v3.RouteAction.RequestMirrorPolicy': '* ~trace_sampled',
  'envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig': '*',
  'envoy.config.route.v3.FilterConfig': '*',
  'envoy.config.route.v3.RouteList': '*',
  'envoy.config.route.v3.HedgePolicy': '* ~initial_requests ~additional_request_chance',
  'envoy.extensions.early_data.v3.DefaultEarlyDataPolicy': '*',
  'envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig': '*',
  'envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor': '*',
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate': '*',
  'envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate': '*',
  'envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig': '*',
  'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig': '*',
}
