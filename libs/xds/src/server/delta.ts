import { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { DeltaDiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import type { Resource } from '../cache/resource.ts'
import type { Variant } from './variant.ts'

const bytesField = (number: number): number => (number << 3) | 2

/** Incremental: requests change the subscription by names, answers carry what changed and what is gone. */
export const delta: Variant<DeltaDiscoveryRequest> = {
  name: 'delta',
  read: (request) => ({
    typeUrl: request.typeUrl,
    node: request.node,
    nonce: request.responseNonce,
    refusal: request.errorDetail?.message,
    names: {
      type: 'change',
      subscribe: request.resourceNamesSubscribe,
      unsubscribe: request.resourceNamesUnsubscribe,
      initialVersions: new Map(Object.entries(request.initialResourceVersions)),
    },
  }),
  /** A DeltaDiscoveryResponse: system_version_info 1, resources 2, type_url 4, nonce 5, removed_resources 6. */
  write: (typeUrl, nonce, update) => {
    const parts: Uint8Array[] = [new BinaryWriter().uint32(bytesField(1)).string(update.version).finish()]
    for (const resource of update.resources) parts.push(head(resource), resource.field)
    const tail = new BinaryWriter().uint32(bytesField(4)).string(typeUrl).uint32(bytesField(5)).string(nonce)
    for (const name of update.removed) tail.uint32(bytesField(6)).string(name)
    parts.push(tail.finish())
    return Buffer.concat(parts)
  },
}

/** What stands before a resource's `Any`: tag and length of the Resource, its version 1 and name 3. Encoded once. */
function head(resource: Resource): Uint8Array {
  const known = heads.get(resource)
  if (known !== undefined) return known
  const own = new BinaryWriter()
    .uint32(bytesField(1))
    .string(resource.version)
    .uint32(bytesField(3))
    .string(resource.name)
    .finish()
  const writer = new BinaryWriter().uint32(bytesField(2)).uint32(own.length + resource.field.length)
  const bytes = Buffer.concat([writer.finish(), own])
  heads.set(resource, bytes)
  return bytes
}

const heads = new WeakMap<Resource, Uint8Array>()
