import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { invalid } from '../../plan/problems.ts'
import { grpcProbe } from './grpc-probe.ts'
import { httpProbe } from './http-probe.ts'
import type { Probe } from './probe.ts'
import { tcpProbe } from './tcp-probe.ts'

/** The probe that a check's configuration describes. Throws WeftError for one that is not supported. */
export function compileProbe(
  config: HealthCheck,
  clusterName: string,
  path: string,
  verifiesCluster: () => boolean = () => true,
): Probe {
  const checker = config.healthChecker
  const reuse = config.reuseConnection ?? true
  if (checker?.$case === 'httpHealthCheck')
    return httpProbe(checker.value, { clusterName, reuse, verifiesCluster }, `${path}.http_health_check`)
  if (checker?.$case === 'tcpHealthCheck') return tcpProbe(checker.value, `${path}.tcp_health_check`)
  if (checker?.$case === 'grpcHealthCheck') return grpcProbe(checker.value, { clusterName, reuse })
  throw invalid(path, 'only http_health_check, tcp_health_check and grpc_health_check are supported by this proxy')
}
