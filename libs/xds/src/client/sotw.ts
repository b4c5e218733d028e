import { DiscoveryRequest, DiscoveryResponse, Resource } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { WeftError } from '@weft/service/errors'
import { wholeSetTypes } from '../types.ts'
import { nackCode, nackText, type XdsProtocol } from './protocol.ts'
import { resourceName } from './resource-name.ts'
import type { ReceivedResource, TypeState } from './subscription.ts'

const wrapperType = 'type.googleapis.com/envoy.service.discovery.v3.Resource'

/** The state-of-the-world variant (xDS transport protocol, "Basic Protocol Overview"). */
export const sotw: XdsProtocol = {
  name: 'sotw',

  parse(message) {
    const response = DiscoveryResponse.decode(message)
    return {
      typeUrl: response.typeUrl,
      nonce: response.nonce,
      controlPlane: response.controlPlane?.identifier ?? '',
      read: () => ({
        version: response.versionInfo,
        resources: response.resources.map((any) => unwrap(any.typeUrl, any.value, response.typeUrl, response.versionInfo)),
        removed: [],
        whole: wholeSetTypes.has(response.typeUrl),
      }),
    }
  },

  first: (state, node) => encode({ ...request(state), node }),

  renamed: (state, node) => encode({ ...request(state), node }),

  answer: (state, { problems }, node) =>
    encode({
      ...request(state),
      node,
      errorDetail: problems.length === 0 ? undefined : { code: nackCode, message: nackText(problems), details: [] },
    }),
}

function request(state: TypeState): DiscoveryRequest {
  return {
    typeUrl: state.typeUrl,
    versionInfo: state.version,
    responseNonce: state.nonce,
    resourceNames: state.names === 'all' ? [] : [...state.names],
    resourceLocators: [],
    node: undefined,
    errorDetail: undefined,
  }
}

function encode(message: DiscoveryRequest): Buffer {
  return Buffer.from(DiscoveryRequest.encode(message).finish())
}

/** A resource may come bare or inside a `Resource` that names it. */
function unwrap(typeUrl: string, bytes: Uint8Array, wanted: string, version: string): ReceivedResource {
  if (typeUrl === wrapperType) {
    const wrapper = Resource.decode(bytes)
    const inner = unwrap(wrapper.resource?.typeUrl ?? '', wrapper.resource?.value ?? new Uint8Array(), wanted, version)
    return { ...inner, name: wrapper.name === '' ? inner.name : wrapper.name, version: wrapper.version || version }
  }
  if (typeUrl !== wanted)
    throw new WeftError('invalid_argument', `a response for ${wanted} holds a resource of type ${typeUrl || '(none)'}`)
  return { name: resourceName(bytes), version, bytes }
}
