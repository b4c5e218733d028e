import { FilterConfig } from '@weft/contracts/envoy/extensions/filters/http/grpc_stats/v3/config'
import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { Stats } from '../../../observe/stats.ts'
import { ClusterCounters } from '../cluster-counters.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { isGrpcType } from '../grpc-type.ts'
import { FrameCounter } from './frame-counter.ts'
import { methodOf } from './method.ts'

/** Filter state in which the messages of a call are counted. */
export const messageCountsKey = 'envoy.filters.http.grpc_stats'
/** Methods that are counted by name; clients name them, so there is an end to it. */
const maxMethods = 1000

/** `envoy.filters.http.grpc_stats`: counts calls and messages under the cluster that they go to. */
export const grpcStats: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.grpc_stats.v3.FilterConfig'],
  compile(bytes, context) {
    const source = FilterConfig.decode(bytes)
    const specifier = source.perMethodStatSpecifier
    const listed =
      specifier?.$case === 'individualMethodStatsAllowlist'
        ? new Set(specifier.value.services.flatMap(({ name, methodNames }) => methodNames.map((method) => `${name}/${method}`)))
        : null
    const rules: Rules = {
      emitsState: source.emitFilterState,
      names: listed ?? (specifier?.$case === 'statsForAllMethods' && specifier.value === true ? 'all' : 'none'),
      replacesDots: source.replaceDotsInGrpcServiceName,
      timesUpstream: source.enableUpstreamStats,
    }
    const counters = new ClusterCounters(context.stats)
    const seen = new Set<string>()
    return {
      start: () => new GrpcStatsFilter(rules, counters, context.stats, (path) => prefixOf(path, rules, seen)),
    }
  },
}

interface Rules {
  readonly emitsState: boolean
  readonly names: ReadonlySet<string> | 'all' | 'none'
  readonly replacesDots: boolean
  readonly timesUpstream: boolean
}

/** `grpc.` with the method, where it is counted by name; null: the path names none, and nothing counts. */
function prefixOf(path: string, { names, replacesDots }: Rules, seen: Set<string>): string | null {
  const method = methodOf(path)
  if (method === null) return null
  if (names === 'none') return 'grpc.'
  if (names !== 'all' && !names.has(`${method.service}/${method.name}`)) return 'grpc.'
  // Services of a list keep their names.
  const service = replacesDots && names === 'all' ? method.service.replaceAll('.', '_') : method.service
  const prefix = `grpc.${service}.${method.name}.`
  if (!seen.has(prefix)) {
    if (seen.size >= maxMethods) return 'grpc.'
    seen.add(prefix)
  }
  return prefix
}

/** Messages of one call, as filter state that logs can write. */
class MessageCounts {
  requests = 0
  responses = 0

  /** As protobuf's JSON has it: counts of 64 bits are text, and none is left out. */
  toJSON(): Record<string, string> {
    return {
      ...(this.requests > 0 ? { requestMessageCount: String(this.requests) } : {}),
      ...(this.responses > 0 ? { responseMessageCount: String(this.responses) } : {}),
    }
  }

  toString(): string {
    return `${this.requests},${this.responses}`
  }
}

class GrpcStatsFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly counters: ClusterCounters
  private readonly stats: Stats
  private readonly prefixOf: (path: string) => string | null
  /** null: nothing of this call is counted. */
  private prefix: string | null = null
  private requests: FrameCounter | null = null
  private responses: FrameCounter | null = null
  private readonly counts = new MessageCounts()

  constructor(rules: Rules, counters: ClusterCounters, stats: Stats, prefix: (path: string) => string | null) {
    this.rules = rules
    this.counters = counters
    this.stats = stats
    this.prefixOf = prefix
  }

  // A filter before this one may have made it gRPC.
  onRequestHeaders({ request }: HttpStream): FilterStatus {
    if (!isGrpcType(request.headers)) return 'continue'
    this.requests = new FrameCounter()
    this.prefix = this.prefixOf(request.path)
    return 'continue'
  }

  onRequestData(stream: HttpStream, data: Buffer): FilterStatus {
    const messages = this.requests?.add(data) ?? 0
    if (messages > 0) {
      this.counts.requests += messages
      this.count(stream, 'request_message_count', messages)
    }
    return 'continue'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    if (this.requests === null) return 'continue'
    const { headers } = stream.response
    if (isGrpcType(headers)) this.responses = new FrameCounter()
    this.end(stream, headers)
    return 'continue'
  }

  onResponseData(stream: HttpStream, data: Buffer): FilterStatus {
    const messages = this.responses?.add(data) ?? 0
    if (messages > 0) {
      this.counts.responses += messages
      this.count(stream, 'response_message_count', messages)
    }
    return 'continue'
  }

  onResponseTrailers(stream: HttpStream, trailers: HeaderTable): FilterStatus {
    if (this.requests !== null) this.end(stream, trailers)
    return 'continue'
  }

  private count(stream: HttpStream, name: string, messages: number): void {
    if (this.rules.emitsState) stream.filterState.set(messageCountsKey, this.counts)
    if (this.prefix !== null) this.counters.inc(stream.clusterName, this.prefix + name, messages)
  }

  /** These headers may tell the call's status. */
  private end({ clusterName, info }: HttpStream, headers: HeaderTable): void {
    const { prefix } = this
    const status = headers.get(names.grpcStatus)
    if (clusterName === '' || prefix === null || status === null || !/^\d{1,9}$/.test(status)) return
    this.counters.inc(clusterName, prefix + Number(status))
    this.counters.inc(clusterName, `${prefix}${Number(status) === 0 ? 'success' : 'failure'}`)
    this.counters.inc(clusterName, `${prefix}total`)
    if (this.rules.timesUpstream)
      this.stats.histogram(`cluster.${clusterName}.${prefix}upstream_rq_time`).record(Math.round(info.elapsedMs()))
  }
}
