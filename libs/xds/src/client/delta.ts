import { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { WeftError } from '@weft/service/errors'
import { nackCode, nackText, type XdsProtocol } from './protocol.ts'
import type { TypeState } from './subscription.ts'

/** The incremental variant (xDS transport protocol, "Incremental xDS"). */
export const delta: XdsProtocol = {
  name: 'delta',

  parse(message) {
    const response = DeltaDiscoveryResponse.decode(message)
    return {
      typeUrl: response.typeUrl,
      nonce: response.nonce,
      controlPlane: response.controlPlane?.identifier ?? '',
      read: () => ({
        version: response.systemVersionInfo,
        resources: once(response.resources).map(({ name, version, resource }) => {
          if (resource?.typeUrl !== response.typeUrl) {
            const type = resource?.typeUrl ?? '(none)'
            throw new WeftError('invalid_argument', `a response for ${response.typeUrl} holds ${name} of type ${type}`)
          }
          return { name, version, bytes: resource.value }
        }),
        removed: response.removedResources,
        whole: false,
      }),
    }
  },

  first(state, node) {
    state.told = new Set(wanted(state))
    return encode({
      ...bare(state, node),
      // A first request without names asks for all.
      resourceNamesSubscribe: state.names === 'all' ? [] : [...state.told],
      initialResourceVersions: Object.fromEntries(state.held),
    })
  },

  renamed(state, node) {
    const told = state.told ?? new Set<string>()
    const now = new Set(wanted(state))
    const subscribe = [...now].filter((name) => !told.has(name))
    const unsubscribe = [...told].filter((name) => !now.has(name))
    state.told = now
    if (subscribe.length === 0 && unsubscribe.length === 0) return undefined
    for (const name of unsubscribe) state.held.delete(name)
    return encode({ ...bare(state, node), resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe })
  },

  answer: (state, { problems }, node) =>
    encode({
      ...bare(state, node),
      responseNonce: state.nonce,
      errorDetail: problems.length === 0 ? undefined : { code: nackCode, message: nackText(problems), details: [] },
    }),
}

/** Throws WeftError for a name that comes twice. */
function once<T extends { name: string }>(resources: readonly T[]): readonly T[] {
  const names = new Set<string>()
  for (const { name } of resources) {
    if (names.has(name)) throw new WeftError('invalid_argument', `the resource ${name} comes twice in one response`)
    names.add(name)
  }
  return resources
}

function wanted(state: TypeState): string[] {
  return state.names === 'all' ? ['*'] : [...state.names]
}

function bare(state: TypeState, node: DeltaDiscoveryRequest['node']): DeltaDiscoveryRequest {
  return DeltaDiscoveryRequest.create({ typeUrl: state.typeUrl, ...(node === undefined ? {} : { node }) })
}

function encode(message: DeltaDiscoveryRequest): Buffer {
  return Buffer.from(DeltaDiscoveryRequest.encode(message).finish())
}
