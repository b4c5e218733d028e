import type { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { envoyMessageName } from '@weft/config/envoy-value'
import { EnvoyFilter_Patch_Operation as Operation } from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import { merged } from './merge.ts'
import type { Patch } from './proxy-patches.ts'

/** What ts-proto gives for a message type. */
export interface Codec<T> {
  encode(message: T): BinaryWriter
  decode(input: BinaryReader | Uint8Array): T
}

/** A message with a patch's value merged into it. */
export function mergedMessage<T>(codec: Codec<T>, message: T, patch: Patch): T {
  return codec.decode(merged(envoyMessageName(patch.applyTo), codec.encode(message).finish(), patch.value))
}

/**
 * A list after a patch. `selects`: the items that its match names; undefined where it names none, so that all are meant, or for an
 * insertion the list's end.
 */
export function patchedList<T>(codec: Codec<T>, list: T[], patch: Patch, selects: ((item: T) => boolean) | undefined): T[] {
  const value = (): T => codec.decode(patch.value)
  const isMeant = selects ?? (() => true)
  const insertedAt = (index: number): T[] => (index < 0 ? list : list.toSpliced(index, 0, value()))
  switch (patch.operation) {
    case Operation.ADD:
      return [...list, value()]
    case Operation.INSERT_FIRST:
      return insertedAt(0)
    case Operation.INSERT_BEFORE:
      return insertedAt(selects === undefined ? 0 : list.findIndex(selects))
    case Operation.INSERT_AFTER: {
      const index = selects === undefined ? list.length - 1 : list.findIndex(selects)
      return index < 0 && selects !== undefined ? list : insertedAt(index + 1)
    }
    case Operation.REMOVE:
      return list.filter((item) => !isMeant(item))
    case Operation.REPLACE:
      return list.map((item) => (isMeant(item) ? value() : item))
    case Operation.MERGE:
      return list.map((item) => (isMeant(item) ? mergedMessage(codec, item, patch) : item))
    default:
      return list
  }
}
