import { isIP } from 'node:net'
import type { EndpointAddress } from '../endpoint-address.ts'
import type { PickContext } from './pick-context.ts'
import type { OriginalDestinationPolicy } from './policy.ts'

/** What the address of a request is: none, one that is no address, or where to connect to. */
export type OriginalDestination = { type: 'none' } | { type: 'invalid' } | { type: 'address'; address: EndpointAddress }

/** Where a request wanted to go: by metadata or the header where the cluster looks at them, else where its connection was caught. */
export function originalDestination(policy: OriginalDestinationPolicy, context: PickContext | null): OriginalDestination {
  if (context === null) return { type: 'none' }
  const told = policy.metadata?.(context.metadata())
  const header = policy.header === null ? null : context.requestHeader(policy.header)
  const text = (typeof told === 'string' ? told : null) ?? header ?? context.originalDestination
  if (text === null) return { type: 'none' }
  const address = parseAddress(text)
  if (address === null) return { type: 'invalid' }
  return { type: 'address', address: policy.portOverride === null ? address : { ...address, port: policy.portOverride } }
}

/** `1.2.3.4:80` or `[::1]:80`; null for everything else. */
function parseAddress(text: string): { type: 'ip'; host: string; port: number } | null {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text)
  const host = match?.groups?.['v6'] ?? match?.groups?.['v4'] ?? ''
  const port = Number(match?.groups?.['port'])
  if (isIP(host) === 0 || !(port <= 65_535)) return null
  return { type: 'ip', host, port }
}
