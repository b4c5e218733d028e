import { createHash } from 'node:crypto'
import { BinaryWriter } from '@bufbuild/protobuf/wire'

/** One xDS resource, encoded once; every stream that carries it sends the same bytes. */
export interface Resource {
  readonly typeUrl: string
  readonly name: string
  /** A hash of the content: equal on every replica that built the same resource. */
  readonly version: string
  /** The encoded message. */
  readonly bytes: Uint8Array
  /**
   * The message in its `Any`, with tag and length, as field 2 of what holds it: `resources` of a DiscoveryResponse and
   * `resource` of a delta Resource have the same number. `bytes` is a view into it.
   */
  readonly field: Uint8Array
  /** Names of the resources of the next type that this one refers to: a cluster's load assignment, a listener's routes. */
  readonly refersTo: readonly string[]
}

const nothing: readonly string[] = []
const fieldTwo = (2 << 3) | 2

/** Makes a resource of an encoded message; the version is a hash of its bytes. */
export function createResource(
  typeUrl: string,
  name: string,
  bytes: Uint8Array,
  refersTo: readonly string[] = nothing,
): Resource {
  const writer = new BinaryWriter()
  writer.uint32(fieldTwo).fork()
  writer.uint32((1 << 3) | 2).string(typeUrl)
  writer.uint32(fieldTwo).bytes(bytes)
  const field = writer.join().finish()
  return { typeUrl, name, version: hash(bytes), bytes: field.subarray(field.length - bytes.length), field, refersTo }
}

function hash(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('base64url').slice(0, 16)
}
