import type { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import { durationMs } from '../../plan/duration.ts'
import { grpcClient, type UnaryMethod } from '../../upstream/grpc-client.ts'
import { grpcTarget } from '../../upstream/grpc-target.ts'
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
  const deadlineMs = times.timeoutMs ?? durationMs(source?.timeout, times.fallbackMs)
  const { cluster, metadata } = grpcTarget(source, `${context.path}.${path}`, deadlineMs)
  const { services } = context
  if (services === null) return null
  const client = grpcClient(services, cluster)
  client.warm()
  return (request, signal) => client.unary(method, request, { deadlineMs, signal, metadata })
}
