import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { ExtAuthz } from '@weft/contracts/envoy/extensions/filters/network/ext_authz/v3/ext_authz'
import type { DeepPartial } from '@weft/contracts/envoy/service/auth/v3/attribute_context'
import { CheckRequest, CheckResponse } from '@weft/contracts/envoy/service/auth/v3/external_auth'
import { durationMs } from '../../../plan/duration.ts'
import { compileMetadataMatcher } from '../../../routing/matchers/metadata-matcher.ts'
import { grpcClient, type UnaryMethod } from '../../../upstream/grpc-client.ts'
import { grpcTarget } from '../../../upstream/grpc-target.ts'
import { mergeMetadata } from '../../http/metadata-merge.ts'
import type { AcceptedInfo, NetworkGateKind, Refusal } from '../filter.ts'

const namespace = 'envoy.filters.network.ext_authz'
const method: UnaryMethod<CheckRequest, CheckResponse> = {
  path: '/envoy.service.auth.v3.Authorization/Check',
  encode: (request) => CheckRequest.encode(request).finish(),
  decode: (bytes) => CheckResponse.decode(bytes),
}
const failure: Refusal = { details: '', flag: 'UAEX', codeDetails: 'ext_authz_error', closeReason: 'ext_authz_close' }
const denial: Refusal = { details: '', flag: 'UAEX', codeDetails: 'ext_authz_denied', closeReason: 'ext_authz_close' }

/** `envoy.filters.network.ext_authz`: a service of the user's is asked with a connection's first bytes, which wait for its answer. */
export const networkExtAuthz: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.ext_authz.v3.ExtAuthz'],
  compile(config, path, { stats, services }) {
    const source = ExtAuthz.decode(config)
    const deadlineMs = durationMs(source.grpcService?.timeout, 200)
    const { cluster, metadata } = grpcTarget(source.grpcService, `${path}.grpc_service`, deadlineMs)
    const stat = (name: string) => stats.counter(`ext_authz.${source.statPrefix}.${name}`)
    const total = stat('total')
    const results = { OK: stat('ok'), DENIED: stat('denied'), ERROR: stat('error') }
    const failureAllowed = stat('failure_mode_allowed')
    const closed = stat('cx_closed')
    const disabled = stat('disabled')
    const active = stats.gauge(`ext_authz.${source.statPrefix}.active`)
    const { filterEnabledMetadata } = source
    const isEnabled =
      filterEnabledMetadata === undefined
        ? () => true
        : compileMetadataMatcher(filterEnabledMetadata, `${path}.filter_enabled_metadata`)
    const client = services === null ? null : grpcClient(services, cluster)
    client?.warm()
    return {
      start(connection) {
        const { info } = connection
        const abort = new AbortController()
        let state: 'before' | 'asking' | 'passed' = 'before'
        const ask = async () => {
          total.inc()
          active.inc()
          const answer = await client
            ?.unary(method, requestOf(info, source), { deadlineMs, signal: abort.signal, metadata })
            .catch(() => null)
          active.dec()
          if (abort.signal.aborted) return
          const result = answer == null ? 'ERROR' : (answer.status?.code ?? 0) === 0 ? 'OK' : 'DENIED'
          results[result].inc()
          if (answer?.dynamicMetadata !== undefined && info.metadata !== undefined) {
            info.metadata[namespace] ??= {}
            mergeMetadata(info.metadata[namespace], answer.dynamicMetadata)
          }
          if (source.shadowMode) {
            info.filterState?.set(namespace, new ShadowDecision(result))
          } else if (result === 'DENIED' || (result === 'ERROR' && !source.failureModeAllow)) {
            closed.inc()
            connection.refuse(result === 'DENIED' ? denial : failure)
            return
          } else if (result === 'ERROR') failureAllowed.inc()
          state = 'passed'
          connection.proceed()
        }
        return {
          onData() {
            if (state === 'before' && !isEnabled(info.metadata ?? null)) {
              disabled.inc()
              state = 'passed'
            }
            if (state === 'before') {
              state = 'asking'
              void ask()
            }
            return state === 'passed' ? 'continue' : 'stop'
          },
          onClose: () => abort.abort(),
        }
      },
    }
  },
}

/** What would have become of a connection, for logs. */
class ShadowDecision {
  readonly check_result: string
  readonly status_code?: number

  constructor(result: string) {
    this.check_result = result
    if (result === 'DENIED') this.status_code = 403
  }

  toString(): string {
    return JSON.stringify({ ...this })
  }

  toJSON(): object {
    return { checkResult: this.check_result, ...(this.status_code === undefined ? {} : { statusCode: this.status_code }) }
  }
}

function requestOf(info: AcceptedInfo, source: ExtAuthz): CheckRequest {
  const peer = info.tls?.peer ?? null
  return CheckRequest.fromPartial({
    attributes: {
      source: {
        address: address(info.remoteAddress, info.remotePort),
        principal: peer === null ? '' : (peer.uris[0] ?? peer.dnsNames[0] ?? peer.subject),
        certificate: source.includePeerCertificate && peer !== null ? encodeURIComponent(peer.pem) : '',
      },
      destination: { address: address(info.localAddress, info.localPort), principal: info.tls?.localUris[0] ?? '' },
      ...(source.includeTlsSession && info.tls !== null ? { tlsSession: { sni: info.serverName } } : {}),
    },
  })
}

function address(host: string, port: number): DeepPartial<Address> {
  return { address: { $case: 'socketAddress', value: { address: host, portSpecifier: { $case: 'portValue', value: port } } } }
}
