import type { SupportTable } from './table.ts'

/** Route configurations. */
export const routeSupport: SupportTable = {
  'envoy.config.route.v3.RouteConfiguration': '* -vhds -cluster_specifier_plugins',
  'envoy.config.route.v3.VirtualHost': '* -matcher -retry_policy_typed_config -hedge_policy',
  'envoy.config.route.v3.Route': '* -filter_action -non_forwarding_action',
  'envoy.config.route.v3.RouteMatch': '* -path_match_policy -dynamic_metadata -tls_context',
  'envoy.config.route.v3.RouteAction':
    '* -cluster_specifier_plugin -inline_cluster_specifier_plugin -path_rewrite_policy -early_data_policy ' +
    '-retry_policy_typed_config -hedge_policy -rate_limits -include_vh_rate_limits',
  'envoy.config.route.v3.RetryPolicy': '* -retry_priority -retry_options_predicates',
  'envoy.config.route.v3.InternalRedirectPolicy': '* -predicates',
  'envoy.config.route.v3.FilterConfig': '*',
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate': '*',
}
