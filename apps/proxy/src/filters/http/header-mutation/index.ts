import {
  HeaderMutation,
  HeaderMutationPerRoute,
  type Mutations,
} from '@weft/contracts/envoy/extensions/filters/http/header_mutation/v3/header_mutation'
import type { HeaderTable } from '@weft/http/header-table'
import { ResponseHead } from '@weft/http/message'
import { checkFormatters } from '../../../observe/access-log/access-log.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileMutations, editHead, type HeadEdit } from '../head-edit.ts'
import { compileQueryEdits, editQuery, type QueryEdit } from './query-edit.ts'

/** Edits of requests and of responses. */
interface Edits {
  readonly request: readonly HeadEdit[]
  readonly response: readonly HeadEdit[]
  readonly query: readonly QueryEdit[]
  readonly requestTrailers: readonly HeadEdit[]
  readonly responseTrailers: readonly HeadEdit[]
}

/** `envoy.filters.http.header_mutation`: the filter's own edits, then those of every level of the route. */
export const headerMutation: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'],
  routeTypes: ['envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute'],
  compile(bytes, context) {
    const source = HeaderMutation.decode(bytes)
    const own = compileEdits(source.mutations, `${context.path}.mutations`)
    return {
      isShared: true,
      start: (_stream, routeConfig) => new HeaderMutationFilter(isEdits(routeConfig) ? joined([own, routeConfig]) : own),
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
  checkFormatters(source?.formatters ?? [], `${path}.formatters`)
  return {
    request: compileMutations(source?.requestMutations ?? [], `${path}.request_mutations`),
    response: compileMutations(source?.responseMutations ?? [], `${path}.response_mutations`),
    query: compileQueryEdits(source?.queryParameterMutations ?? [], `${path}.query_parameter_mutations`),
    requestTrailers: compileMutations(source?.requestTrailersMutations ?? [], `${path}.request_trailers_mutations`),
    responseTrailers: compileMutations(source?.responseTrailersMutations ?? [], `${path}.response_trailers_mutations`),
  }
}

function isEdits(config: unknown): config is Edits {
  return typeof config === 'object' && config !== null && 'request' in config && 'response' in config
}

function joined(all: readonly Edits[]): Edits {
  return {
    request: all.flatMap(({ request }) => request),
    response: all.flatMap(({ response }) => response),
    query: all.flatMap(({ query }) => query),
    requestTrailers: all.flatMap(({ requestTrailers }) => requestTrailers),
    responseTrailers: all.flatMap(({ responseTrailers }) => responseTrailers),
  }
}

/** Holds no state of a request: one for each set of edits. */
class HeaderMutationFilter implements HttpFilter {
  private readonly edits: Edits
  /** Only where trailers are edited, so that others pass by. */
  readonly onRequestTrailers?: NonNullable<HttpFilter['onRequestTrailers']>
  readonly onResponseTrailers?: NonNullable<HttpFilter['onResponseTrailers']>

  constructor(edits: Edits) {
    this.edits = edits
    if (edits.requestTrailers.length > 0)
      this.onRequestTrailers = (stream, trailers) => editTrailers(edits.requestTrailers, stream, trailers)
    if (edits.responseTrailers.length > 0)
      this.onResponseTrailers = (stream, trailers) => editTrailers(edits.responseTrailers, stream, trailers)
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { request, query } = this.edits
    editHead(request, stream.format, stream.request)
    if (query.length > 0) stream.request.path = editQuery(query, stream.format, stream.request.path)
    return 'continue'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    editHead(this.edits.response, stream.format, stream.response)
    return 'continue'
  }
}

function editTrailers(edits: readonly HeadEdit[], stream: HttpStream, trailers: HeaderTable): FilterStatus {
  const head = new ResponseHead()
  head.headers.copyFrom(trailers)
  editHead(edits, stream.format, head)
  trailers.copyFrom(head.headers)
  return 'continue'
}
