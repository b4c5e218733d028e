import { isIP } from 'node:net'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { CaresDnsResolverConfig } from '@weft/contracts/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver'
import { invalid, unsupported } from './problems.ts'

/** The name servers that a typed_dns_resolver_config names, as Node takes them; none: the system's. `owner`: for messages. */
export function dnsServersOf(source: Cluster['typedDnsResolverConfig'], owner: string): string[] {
  const path = `${owner}: typed_dns_resolver_config.typed_config`
  const any = source?.typedConfig
  if (source === undefined || any?.typeUrl.endsWith('.getaddrinfo.v3.GetAddrInfoDnsResolverConfig') === true) return []
  if (any === undefined || !any.typeUrl.endsWith('.cares.v3.CaresDnsResolverConfig'))
    throw unsupported(path, `DNS resolver '${any?.typeUrl ?? source.name}'`)
  const { resolvers, useResolversAsFallback, dnsResolverOptions } = CaresDnsResolverConfig.decode(any.value)
  if (dnsResolverOptions?.useTcpForDnsLookups === true)
    throw unsupported(`${path}.dns_resolver_options.use_tcp_for_dns_lookups`, 'DNS over TCP alone')
  // Servers that are asked where the system's cannot be found out: they can.
  if (useResolversAsFallback) return []
  return resolvers.map(({ address }, i) => {
    const at = `${path}.resolvers[${i}]`
    if (
      address?.$case !== 'socketAddress' ||
      address.value.portSpecifier?.$case !== 'portValue' ||
      isIP(address.value.address) === 0
    )
      throw invalid(at, 'an IP address and a port are needed')
    const { address: host, portSpecifier } = address.value
    return isIP(host) === 6 ? `[${host}]:${portSpecifier.value}` : `${host}:${portSpecifier.value}`
  })
}
