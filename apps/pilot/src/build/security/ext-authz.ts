import { ApiVersion } from '@weft/contracts/envoy/config/core/v3/config_source'
import { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import { ExtAuthz as HttpExtAuthz } from '@weft/contracts/envoy/extensions/filters/http/ext_authz/v3/ext_authz'
import { ExtAuthz as TcpExtAuthz } from '@weft/contracts/envoy/extensions/filters/network/ext_authz/v3/ext_authz'
import type { MetadataMatcher } from '@weft/contracts/envoy/type/matcher/v3/metadata'
import { ListStringMatcher, StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import type { ExtAuthzProvider } from '../../model/extension-providers.ts'
import { outboundClusterName } from '../names.ts'
import { milliseconds } from '../wire.ts'
import { metadataMatcher, textValue } from './claims.ts'
import { textMatcher } from './text-match.ts'

/** A provider whose service was found. */
export interface KnownProvider {
  readonly name: string
  readonly provider: ExtAuthzProvider
  /** Full name of its service. */
  readonly host: string
}

/** Names of policies that lead to a provider begin so; the shadow rules leave them in metadata, under this key. */
export function customPrefix(provider: string): string {
  return `istio-ext-authz-${provider}`
}
export const customStatPrefix = 'istio_ext_authz_'
const effectivePolicy = `${customStatPrefix}shadow_effective_policy_id`

/** The filter asks only about what a shadow rule of its provider held for. */
function enabledBy(filter: string, provider: string): MetadataMatcher {
  const prefix = textMatcher(`${customPrefix(provider)}*`)
  return metadataMatcher(filter, [effectivePolicy], textValue(prefix))
}

/** Envoy's HTTP filter that asks a provider about requests. */
export function httpExtAuthz({ name, provider, host }: KnownProvider): HttpExtAuthz {
  const { body, statusOnError, http } = provider
  const filter = HttpExtAuthz.fromPartial({
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: provider.failOpen,
    clearRouteCache: provider.clearRouteCache,
    statusOnError: statusOnError === undefined ? undefined : { code: statusOnError },
    withRequestBody:
      body === undefined
        ? undefined
        : { maxRequestBytes: body.maxBytes, allowPartialMessage: body.allowPartial, packAsBytes: body.asBytes },
    filterEnabledMetadata: enabledBy('envoy.filters.http.rbac', name),
  })
  if (provider.protocol === 'grpc') {
    filter.services = { $case: 'grpcService', value: grpcService(provider, host) }
    return filter
  }
  const additional = Object.entries(http.additionalHeaders).sort(([a], [b]) => (a < b ? -1 : 1))
  filter.allowedHeaders = headerList(http.requestHeaders)
  const answers = [http.toUpstreamOnAllow, http.toDownstreamOnAllow, http.toDownstreamOnDeny]
  filter.services = HttpExtAuthz.fromPartial({
    services: {
      $case: 'httpService',
      value: {
        serverUri: {
          uri: `http://${host}`,
          timeout: milliseconds(provider.timeoutMs),
          httpUpstreamType: { $case: 'cluster', value: outboundClusterName(provider.port, '', host) },
        },
        pathPrefix: http.pathPrefix,
        authorizationRequest:
          additional.length === 0 ? undefined : { headersToAdd: additional.map(([key, value]) => ({ key, value })) },
        authorizationResponse: answers.every((list) => list.length === 0)
          ? undefined
          : {
              allowedUpstreamHeaders: headerList(http.toUpstreamOnAllow),
              allowedClientHeadersOnSuccess: headerList(http.toDownstreamOnAllow),
              allowedClientHeaders: headerList(http.toDownstreamOnDeny),
            },
      },
    },
  }).services
  return filter
}

/** Envoy's network filter that asks a provider about connections; an HTTP provider can't be asked about them. */
export function tcpExtAuthz({ name, provider, host }: KnownProvider): TcpExtAuthz | undefined {
  if (provider.protocol === 'http') return undefined
  return TcpExtAuthz.fromPartial({
    statPrefix: 'tcp.',
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: provider.failOpen,
    grpcService: grpcService(provider, host),
    filterEnabledMetadata: enabledBy('envoy.filters.network.rbac', name),
  })
}

function grpcService(provider: ExtAuthzProvider, host: string): GrpcService {
  return GrpcService.fromPartial({
    targetSpecifier: {
      $case: 'envoyGrpc',
      // The cluster's name has characters that no authority may have.
      value: { clusterName: outboundClusterName(provider.port, '', host), authority: host },
    },
    timeout: milliseconds(provider.timeoutMs),
  })
}

function headerList(names: readonly string[]): ListStringMatcher | undefined {
  if (names.length === 0) return undefined
  return ListStringMatcher.fromPartial({
    patterns: names.map((name) => StringMatcher.fromPartial(textMatcher(name, { ignoreCase: true }))),
  })
}
