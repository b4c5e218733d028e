import { WeftError } from '@weft/service/errors'
import { PlatformClient } from '../platform-client.ts'
import type { PlatformSpec } from '../platform-spec.ts'
import { readOptions } from '../read-options.ts'

/** Options by which a client of Consul is made. */
const clientOptions = ['dc', 'token-file', 'ca-file', 'cert-file', 'key-file'] as const

/** What only Consul Enterprise has; the default ones are followed. */
const enterpriseOptions = ['partition', 'ns', 'namespace'] as const

/** The options of a flag that say how Consul is reached, and `own` ones. Throws `invalid_argument` for others. */
export function readConsulOptions<K extends string>(
  spec: PlatformSpec,
  own: readonly K[],
): Partial<Record<(typeof clientOptions)[number] | K, string>> {
  const asked = enterpriseOptions.find((name) => spec.options.has(name))
  if (asked !== undefined) {
    throw new WeftError('invalid_argument', `${spec.flag} consul: '${asked}' is of Consul Enterprise, which is not supported`, {
      hint: "leave it out: services of the default partition and namespace are followed; a service's meta `namespace` names the mesh's",
    })
  }
  return readOptions(spec, [...clientOptions, ...own])
}

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
