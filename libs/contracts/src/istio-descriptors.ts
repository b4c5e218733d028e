import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'

let registry: FileRegistry | undefined

/** The descriptors of Istio's messages alone, which configuration is read by. Loaded once, in a tenth of the time of all. */
export function istioDescriptors(): FileRegistry {
  if (registry === undefined) {
    const bytes = readFileSync(join(import.meta.dirname, '../gen/istio-descriptors.binpb'))
    registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))
  }
  return registry
}
