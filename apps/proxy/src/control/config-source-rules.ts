import { ApiConfigSource_ApiType as ApiType, type ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import { invalid, unsupported } from '../plan/problems.ts'

/** Refuses a source of a kind that nothing is fetched from: Envoy has no aggregated ones here, and this proxy no REST. Throws WeftError. */
export function checkConfigSource({ configSourceSpecifier: source }: ConfigSource, path: string): void {
  if (source?.$case !== 'apiConfigSource') return
  const at = `${path}.api_config_source.api_type`
  const { apiType, grpcServices } = source.value
  if (apiType === ApiType.GRPC || apiType === ApiType.DELTA_GRPC) return
  if (apiType === ApiType.REST && grpcServices.length === 0) throw unsupported(at, 'REST')
  if (apiType === ApiType.REST) throw invalid(at, 'REST config source must not have a gRPC service specified')
  throw invalid(at, 'Unsupported config source: it has to be GRPC or DELTA_GRPC')
}
