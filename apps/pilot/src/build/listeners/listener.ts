import { isIPv4, isIPv6 } from 'node:net'
import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { Address as AddressMessage } from '@weft/contracts/envoy/config/core/v3/address'
import { AdditionalAddress, type Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { ListenerFilter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { HttpInspector } from '@weft/contracts/envoy/extensions/filters/listener/http_inspector/v3/http_inspector'
import { OriginalDst } from '@weft/contracts/envoy/extensions/filters/listener/original_dst/v3/original_dst'
import { ProxyProtocol } from '@weft/contracts/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol'
import { TlsInspector } from '@weft/contracts/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { ProxyNode } from '../../scope/proxy-node.ts'
import { milliseconds, pack } from '../wire.ts'

/** An address to listen at. */
export function listenAddress(address: string, port: number): Address {
  return AddressMessage.fromPartial({
    address: { $case: 'socketAddress', value: { address, portSpecifier: { $case: 'portValue', value: port } } },
  })
}

/** All addresses of the families that the proxy's machine has: IPv4, IPv6 or both. */
export function anyAddress({ ips }: Pick<ProxyNode, 'ips'>, port: number): Pick<Listener, 'address' | 'additionalAddresses'> {
  const hosts = anyHosts(ips)
  const [address, ...more] = hosts.map((host) => listenAddress(host, port))
  return {
    address,
    additionalAddresses: more.map((address) => AdditionalAddress.fromPartial({ address })),
  }
}

/** What of a proxy `anyAddress` depends on. */
export function anyAddressKey({ ips }: Pick<ProxyNode, 'ips'>): string {
  return anyHosts(ips).join()
}

function anyHosts(ips: readonly string[]): string[] {
  const v6 = ips.some((ip) => isIPv6(ip))
  return [...(v6 && !ips.some((ip) => isIPv4(ip)) ? [] : ['0.0.0.0']), ...(v6 ? ['::'] : [])]
}

function listenerFilter(name: string, typedConfig: ReturnType<typeof pack>): ListenerFilter {
  return ListenerFilter.fromPartial({ name, configType: { $case: 'typedConfig', value: typedConfig } })
}

/** Reads a connection's first bytes for TLS, its server name and application protocols. */
export function tlsInspector(): ListenerFilter {
  const typeName = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'
  return listenerFilter('envoy.filters.listener.tls_inspector', pack(typeName, TlsInspector, TlsInspector.fromPartial({})))
}

/** Reads a connection's first bytes for HTTP. */
export function httpInspector(): ListenerFilter {
  const typeName = 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector'
  return listenerFilter('envoy.filters.listener.http_inspector', pack(typeName, HttpInspector, HttpInspector.fromPartial({})))
}

/** Reads whose connection it is from a PROXY header. */
export function proxyProtocol(): ListenerFilter {
  const typeName = 'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol'
  return listenerFilter('envoy.filters.listener.proxy_protocol', pack(typeName, ProxyProtocol, ProxyProtocol.fromPartial({})))
}

/** Asks the kernel where a redirected connection was going. */
export function originalDestination(): ListenerFilter {
  const typeName = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst'
  return listenerFilter('envoy.filters.listener.original_dst', pack(typeName, OriginalDst, OriginalDst.fromPartial({})))
}

/**
 * Filters that wait for a connection's first bytes, for no longer than the mesh says: a server that speaks first has a client
 * that says nothing.
 */
export function detecting(
  listenerFilters: ListenerFilter[],
  { protocolDetectionTimeoutMs }: MeshSettings,
): Pick<Listener, 'listenerFilters' | 'listenerFiltersTimeout' | 'continueOnListenerFiltersTimeout'> {
  if (listenerFilters.length === 0)
    return { listenerFilters, listenerFiltersTimeout: undefined, continueOnListenerFiltersTimeout: false }
  const listenerFiltersTimeout = milliseconds(protocolDetectionTimeoutMs)
  return { listenerFilters, listenerFiltersTimeout, continueOnListenerFiltersTimeout: true }
}

/** Application protocols by which the HTTP inspector names plain HTTP. */
export const plainHttpProtocols: readonly string[] = ['http/1.0', 'http/1.1', 'h2c']
