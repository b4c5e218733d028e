import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Registry } from '@bufbuild/protobuf'
import { lazyRegistry } from './lazy-registry.ts'

let registry: Registry | undefined

/**
 * The descriptors of every message in the contracts, Envoy's API included, with the `validate.rules` options on
 * their fields, each made when it is first asked for: only the processes that validate configuration pay for them.
 */
export function descriptors(): Registry {
  registry ??= lazyRegistry(readFileSync(join(import.meta.dirname, '../gen/descriptors.binpb')))
  return registry
}
