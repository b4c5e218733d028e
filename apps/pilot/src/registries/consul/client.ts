import { PlatformClient } from '../platform-client.ts'
import type { PlatformSpec } from '../platform-spec.ts'

/** Options by which a client of Consul is made. */
export const clientOptions = ['dc', 'token-file', 'ca-file', 'cert-file', 'key-file'] as const

/** A client of Consul's HTTP API at the URL of a flag, and the part of each query that says the datacenter. */
export function consulClient(
  { url = new URL('http://127.0.0.1:8500') }: PlatformSpec,
  given: Partial<Record<(typeof clientOptions)[number], string>>,
  maxConnections: number,
): { client: PlatformClient; query: Readonly<Record<string, string>> } {
  const client = new PlatformClient({
    platform: 'Consul',
    url,
    tokenHeader: 'x-consul-token',
    tokenFile: given['token-file'],
    caFile: given['ca-file'],
    certFile: given['cert-file'],
    keyFile: given['key-file'],
    maxConnections,
  })
  return { client, query: given.dc === undefined ? {} : { dc: given.dc } }
}
