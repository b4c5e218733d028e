import { FilterConfig } from '@weft/contracts/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy'
import { checkDnsCache } from '../../../plan/forward-names.ts'
import { invalid } from '../../../plan/problems.ts'
import { type DnsHost, dynamicPort, targetOf, upstreamAddress, useDnsCache } from '../../../upstream/dns-cache.ts'
import { addressKey } from '../../../upstream/endpoint-address.ts'
import type { NetworkGateKind } from '../filter.ts'

const refusal = { details: '' }

/** `envoy.filters.network.sni_dynamic_forward_proxy`: has the server name (SNI) that a connection goes to resolved first. */
export const sniDynamicForwardProxy: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig'],
  compile(config, path, { services, stats }) {
    const { dnsCacheConfig, portSpecifier, saveUpstreamAddress } = FilterConfig.decode(config)
    if (dnsCacheConfig === undefined) throw invalid(`${path}.dns_cache_config`, 'must be set')
    checkDnsCache(dnsCacheConfig, `${path}.dns_cache_config`)
    if (services === null) return { start: () => null }
    const { cache, leave } = useDnsCache(dnsCacheConfig, services, stats)
    return {
      start(connection) {
        const { info } = connection
        let forget: (() => void) | null = null
        const leaveCache = (): void => {
          forget = null
          cache.release()
        }
        const save = ({ address, port }: DnsHost): void => {
          if (saveUpstreamAddress && address !== null) info.filterState?.set(upstreamAddress, addressKey(address, port))
        }
        return {
          onConnect() {
            const { host, port: told } = targetOf(info.filterState, info.serverName)
            if (host === '') return 'continue'
            if (!cache.take()) return refusal
            const port = told ?? portSpecifier?.value ?? 0
            info.filterState?.set(dynamicPort, port)
            const found = cache.load(host, port, (later) => {
              leaveCache()
              save(later)
              connection.proceed()
            })
            if (typeof found === 'function') {
              forget = found
              return 'stop'
            }
            cache.release()
            if (found === 'overflow') return refusal
            save(found)
            return 'continue'
          },
          onClose() {
            if (forget === null) return
            forget()
            leaveCache()
          },
        }
      },
      close: leave,
    }
  },
}
