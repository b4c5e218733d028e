import { PlatformClient } from '../platform-client.ts'
import type { PlatformSpec } from '../platform-spec.ts'
import { readOptions } from '../read-options.ts'
import type { Registry, RegistryContext } from '../registry.ts'
import { NomadRegistry } from './nomad-registry.ts'

const options = ['namespace', 'region', 'token-file', 'ca-file', 'cert-file', 'key-file'] as const
const maxConnections = 64

/** `--registry nomad=http://127.0.0.1:4646?namespace=NAME&region=NAME&token-file=FILE&ca-file=FILE&cert-file=FILE&key-file=FILE`; all namespaces unless one is said. */
export async function openNomad(spec: PlatformSpec, { mesh, logger }: RegistryContext): Promise<Registry> {
  const { namespace = '*', region, ...files } = readOptions(spec, options)
  const client = new PlatformClient({
    platform: 'Nomad',
    url: spec.url ?? new URL('http://127.0.0.1:4646'),
    tokenHeader: 'x-nomad-token',
    tokenFile: files['token-file'],
    caFile: files['ca-file'],
    certFile: files['cert-file'],
    keyFile: files['key-file'],
    maxConnections,
  })
  return new NomadRegistry({ client, namespace, region, mesh, logger })
}
