import {
  HeaderMutation,
  HeaderMutationPerRoute,
  type Mutations,
} from '@weft/contracts/envoy/extensions/filters/http/header_mutation/v3/header_mutation'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileMutations, editHead, type HeadEdit } from '../head-edit.ts'

/** Edits of requests and of responses. */
interface Edits {
  readonly request: readonly HeadEdit[]
  readonly response: readonly HeadEdit[]
}

/** `envoy.filters.http.header_mutation`: the filter's own edits, then those of every level of the route. */
export const headerMutation: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'],
  routeTypes: ['envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute'],
  compile(bytes, context) {
    const source = HeaderMutation.decode(bytes)
    const own = compileEdits(source.mutations, `${context.path}.mutations`)
    const shared = new HeaderMutationFilter(own)
    const ofRoutes = new WeakMap<object, HeaderMutationFilter>()
    return {
      start(_stream, routeConfig) {
        if (!isEdits(routeConfig)) return shared
        let one = ofRoutes.get(routeConfig)
        if (one === undefined) {
          one = new HeaderMutationFilter(joined([own, routeConfig]))
          ofRoutes.set(routeConfig, one)
        }
        return one
      },
      // Who comes last wins where edits overwrite: by default the table, on request the route.
      mergeRouteConfigs(configs) {
        const levels = configs.filter(isEdits)
        return joined(source.mostSpecificHeaderMutationsWins ? levels.reverse() : levels)
      },
    }
  },
  compileRouteConfig(bytes, _type, context) {
    return compileEdits(HeaderMutationPerRoute.decode(bytes).mutations, `${context.path}.mutations`)
  },
}

function compileEdits(source: Mutations | undefined, path: string): Edits {
  return {
    request: compileMutations(source?.requestMutations ?? [], `${path}.request_mutations`),
    response: compileMutations(source?.responseMutations ?? [], `${path}.response_mutations`),
  }
}

function isEdits(config: unknown): config is Edits {
  return typeof config === 'object' && config !== null && 'request' in config && 'response' in config
}

function joined(all: readonly Edits[]): Edits {
  return { request: all.flatMap(({ request }) => request), response: all.flatMap(({ response }) => response) }
}

/** Holds no state of a request: one for each set of edits. */
class HeaderMutationFilter implements HttpFilter {
  private readonly edits: Edits

  constructor(edits: Edits) {
    this.edits = edits
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    editHead(this.edits.request, stream.format, stream.request)
    return 'continue'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    editHead(this.edits.response, stream.format, stream.response)
    return 'continue'
  }
}
