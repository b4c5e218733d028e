import type { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import { invalid, unsupported } from '../plan/problems.ts'
import { localAddress } from '../transport/local-address.ts'

/** Where the calls of a `GrpcService` go, and what each carries. */
export interface GrpcTarget {
  cluster: string
  metadata: Readonly<Record<string, string>>
}

/** Reads a `GrpcService` whose calls may take `deadlineMs`; throws WeftError where it names no cluster. */
export function grpcTarget(source: GrpcService | undefined, path: string, deadlineMs: number): GrpcTarget {
  const target = source?.targetSpecifier
  if (source === undefined || target === undefined) throw invalid(path, 'needs envoy_grpc', 'name the cluster of the service')
  if (target.$case !== 'envoyGrpc') throw unsupported(path, 'a gRPC client of its own', 'use envoy_grpc')
  const { clusterName, authority, skipEnvoyHeaders } = target.value
  if (clusterName === '') throw invalid(`${path}.envoy_grpc.cluster_name`, 'a cluster is needed')
  return {
    cluster: clusterName,
    metadata: {
      ':authority': authority || clusterName,
      ...(skipEnvoyHeaders ? {} : ownHeaders(deadlineMs)),
      ...Object.fromEntries(source.initialMetadata.map(({ key, value }) => [key.toLowerCase(), value])),
    },
  }
}

/** What Envoy tells of itself in calls of its own. */
function ownHeaders(deadlineMs: number): Record<string, string> {
  return {
    'x-envoy-internal': 'true',
    'x-forwarded-for': localAddress,
    'x-envoy-expected-rq-timeout-ms': String(Math.max(1, Math.round(deadlineMs))),
  }
}
