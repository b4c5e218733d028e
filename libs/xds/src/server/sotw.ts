import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { DiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import type { Resource } from '../cache/resource.ts'
import type { Variant } from './variant.ts'

const bytesField = (number: number): number => (number << 3) | 2

const bodies = new WeakMap<readonly Resource[], Uint8Array>()
/** Longer lists are the same for many clients, and their bytes are kept as long as the list is. */
const worthKeeping = 32

/** The `resources` of a response, encoded. */
function bodyOf(resources: readonly Resource[]): Uint8Array {
  let body = bodies.get(resources)
  if (body === undefined) {
    body = Buffer.concat(resources.map((resource) => resource.field))
    if (resources.length >= worthKeeping) bodies.set(resources, body)
  }
  return body
}

/** State of the world: a request carries all names, an answer to listeners and clusters the whole set. */
export const sotw: Variant<DiscoveryRequest> = {
  name: 'sotw',
  read: (request) => ({
    typeUrl: request.typeUrl,
    node: request.node,
    nonce: request.responseNonce,
    refusal: request.errorDetail?.message,
    names: { type: 'whole', names: request.resourceNames, version: request.versionInfo },
  }),
  /** A DiscoveryResponse: version_info 1, resources 2, type_url 4, nonce 5. */
  write: (typeUrl, nonce, update) => {
    const head = new BinaryWriter().uint32(bytesField(1)).string(update.version).finish()
    const tail = new BinaryWriter().uint32(bytesField(4)).string(typeUrl).uint32(bytesField(5)).string(nonce).finish()
    return Buffer.concat([head, bodyOf(update.resources), tail])
  },
}
