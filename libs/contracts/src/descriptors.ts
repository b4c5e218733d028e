import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'

let registry: FileRegistry | undefined

/**
 * The descriptors of every message in the contracts, Envoy's API included, with the `validate.rules` options on
 * their fields. Loaded once (about 50 ms), so only the processes that validate configuration pay for it.
 */
export function descriptors(): FileRegistry {
  if (registry === undefined) {
    const bytes = readFileSync(join(import.meta.dirname, '../gen/descriptors.binpb'))
    registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))
  }
  return registry
}
