import { WeftError } from '@weft/service/errors'
import type { PlatformSpec } from '../platform-spec.ts'
import type { Registry, RegistryContext } from '../registry.ts'
import type { Consistency } from './blocking-query.ts'
import { consulClient, readConsulOptions } from './client.ts'
import { ConsulRegistry } from './consul-registry.ts'

const consistencies: readonly Consistency[] = ['default', 'stale', 'consistent']
/** Consul takes 200 connections of one client unless `limits.http_max_conns_per_client` says otherwise. */
const defaultWatches = 128

/** `--registry consul=http://127.0.0.1:8500?dc=dc1&token-file=FILE&ca-file=FILE&cert-file=FILE&key-file=FILE&consistency=stale&watches=128&entries=true`. */
export async function openConsul(spec: PlatformSpec, { mesh, logger }: RegistryContext): Promise<Registry> {
  const given = readConsulOptions(spec, ['consistency', 'watches', 'entries'])
  const consistency = consistencies.find((one) => one === (given.consistency ?? 'stale'))
  const watches = Number(given.watches ?? defaultWatches)
  const knows = given.entries === undefined || /^(true|false)$/.test(given.entries)
  if (consistency === undefined || !Number.isInteger(watches) || watches < 1 || !knows) {
    throw new WeftError('invalid_argument', '--registry consul: consistency, watches or entries cannot be read', {
      hint: `consistency is one of ${consistencies.join(', ')}; watches a number from 1; entries true or false`,
    })
  }
  const { client, query } = consulClient(spec, given, watches + 32)
  return new ConsulRegistry({ client, query, consistency, watches, entries: given.entries === 'true', mesh, logger })
}
