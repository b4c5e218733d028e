import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'

/**
 * The name of an xDS resource in its binary form: in every resource type of the API it is field 1 (a cluster's name, a
 * load assignment's cluster_name …). Throws for bytes that are no message.
 */
export function resourceName(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes)
  let name = ''
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag()
    if (field === 1 && wire === WireType.LengthDelimited) name = reader.string()
    else reader.skip(wire, field)
  }
  return name
}
