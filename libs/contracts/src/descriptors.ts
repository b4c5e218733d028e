import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Registry } from '@bufbuild/protobuf'
import { lazyRegistry } from './lazy-registry.ts'

let registry: Registry | undefined
/** By `performance.now()`. */
let askedMs = 0

/**
 * The descriptors of every message in the contracts, Envoy's API included, with the `validate.rules` options on
 * their fields, each made when it is first asked for: only the processes that validate configuration pay for them. Ask for them where
 * they are needed, rather than keep them: see `forgetDescriptors`.
 */
export function descriptors(): Registry {
  askedMs = performance.now()
  registry ??= lazyRegistry(readFileSync(join(import.meta.dirname, '../gen/descriptors.binpb')))
  return registry
}

/**
 * Lets go of descriptors for which nobody has asked so long: configuration comes in bursts, and a proxy's are 6 MiB. Who asks next has them
 * made anew. Gives whether there were any.
 */
export function forgetDescriptors(unusedMs: number): boolean {
  if (registry === undefined || performance.now() - askedMs < unusedMs) return false
  registry = undefined
  return true
}
