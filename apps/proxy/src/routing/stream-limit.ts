import { names } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { grpcTimeoutText, parseGrpcTimeout, shortened } from './grpc-timeout.ts'
import type { ForwardPlan } from './route-action.ts'

const atOnceMs = 0.001

/**
 * How long a stream may take by its route's max_stream_duration (ms; 0: any time; -1: as long as the connection manager says). A
 * request may say so itself by grpc-timeout, up to the route's limit; the upstream of one that is gRPC is told what holds.
 */
export function streamLimit(forward: ForwardPlan, { headers }: RequestHead, isGrpc: boolean): number {
  const { grpcHeaderMaxMs, maxStreamMs } = forward
  if (!forward.limitsStream) return maxStreamMs
  let limit = maxStreamMs
  if (grpcHeaderMaxMs >= 0) {
    const asked = parseGrpcTimeout(headers.get(names.grpcTimeout))
    const held = asked === null || grpcHeaderMaxMs === 0 ? asked : Math.min(asked, grpcHeaderMaxMs)
    limit = shortened(held, forward.grpcHeaderOffsetMs) ?? limit
    // A client that gives no time at all, and not one that sets no limit.
    if (held === 0) return atOnceMs
  }
  if (limit > 0 && isGrpc) headers.set(names.grpcTimeout, grpcTimeoutText(limit))
  return limit
}
