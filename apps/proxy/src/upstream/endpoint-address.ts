import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { invalid, unsupported } from '../plan/problems.ts'

/** Where an endpoint listens. */
export type EndpointAddress = { type: 'ip'; host: string; port: number } | { type: 'pipe'; path: string }

/** The key of an IP address and port. */
export function addressKey(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Address and key of an endpoint, or an error that names the place. */
export function endpointAddress(address: Address | undefined, path: string): { key: string; address: EndpointAddress } {
  const one = address?.address
  if (one === undefined) throw invalid(path, 'an endpoint needs an address')
  switch (one.$case) {
    case 'socketAddress': {
      const { address: host, portSpecifier } = one.value
      if (portSpecifier?.$case !== 'portValue') throw invalid(`${path}.socket_address`, 'a port_value is needed')
      const port = portSpecifier.value
      return { key: addressKey(host, port), address: { type: 'ip', host, port } }
    }
    case 'pipe':
      return { key: one.value.path, address: { type: 'pipe', path: one.value.path } }
    case 'envoyInternalAddress':
      throw unsupported(`${path}.envoy_internal_address`, 'an internal address')
  }
}
