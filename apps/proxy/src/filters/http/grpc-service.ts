import type { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import { durationMs } from '../../plan/duration.ts'
import { grpcClient, type UnaryMethod } from '../../upstream/grpc-client.ts'
import type { FilterContext } from './filter.ts'

/** Calls one method of a gRPC service that a filter is configured with. */
export type UnaryCall<Request, Response> = (request: Request, signal: AbortSignal) => Promise<Response>

/**
 * Compiles a `GrpcService` of a filter to calls of one method; `timeoutMs` counts instead of the service's own when given,
 * `fallbackMs` when the service has none. null: only checking, nothing can be called.
 */
export function compileGrpcService<Request, Response>(
  source: GrpcService | undefined,
  method: UnaryMethod<Request, Response>,
  path: string,
  context: FilterContext,
  times: { timeoutMs?: number; fallbackMs: number },
): UnaryCall<Request, Response> | null {
  const target = source?.targetSpecifier
  if (source === undefined || target?.$case !== 'envoyGrpc')
    return context.fail(path, 'needs envoy_grpc', 'name the cluster of the service')
  const cluster = target.value.clusterName
  if (cluster === '') return context.fail(`${path}.envoy_grpc.cluster_name`, 'a cluster is needed')
  const { services } = context
  if (services === null) return null
  const deadlineMs = times.timeoutMs ?? durationMs(source.timeout, times.fallbackMs)
  const metadata = Object.fromEntries(source.initialMetadata.map(({ key, value }) => [key.toLowerCase(), value]))
  const client = grpcClient(services, cluster)
  client.warm()
  return (request, signal) => client.unary(method, request, { deadlineMs, signal, metadata })
}
