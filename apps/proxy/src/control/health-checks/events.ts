import { closeSync, openSync, writeSync } from 'node:fs'
import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { WeftError } from '@weft/service/errors'
import type { ComponentLog } from '../../log.ts'
import type { ProbeResult } from './probe.ts'

/** What came of one check. */
export interface CheckOutcome {
  endpoint: LbEndpoint
  key: string
  result: ProbeResult
  failed: boolean
  /** The endpoint went out of rotation, or came into it. */
  changed: boolean
  /** It became degraded, or stopped to be. */
  degradation: boolean
  first: boolean
}

/** Events of one cluster's health checks, as `event_log_path` asks for: one JSON object (`HealthCheckEvent`) a line. */
export class HealthCheckEvents {
  readonly #config: HealthCheck
  readonly #clusterName: string
  readonly #fd: number

  constructor(config: HealthCheck, clusterName: string, fd: number) {
    this.#config = config
    this.#clusterName = clusterName
    this.#fd = fd
  }

  /** Writes what an outcome is worth telling. */
  checked(outcome: CheckOutcome): void {
    const { result, failed, changed, degradation, first } = outcome
    const good = result === 'healthy' || result === 'degraded'
    const failureType = result === 'timeout' ? 'NETWORK_TIMEOUT' : result === 'network' ? 'NETWORK' : 'ACTIVE'
    if (changed && failed) this.#write(outcome, { eject_unhealthy_event: { failure_type: failureType } })
    if (changed && !failed) this.#write(outcome, { add_healthy_event: { first_check: first } })
    if (degradation) this.#write(outcome, result === 'degraded' ? { degraded_healthy_host: {} } : { no_longer_degraded_host: {} })
    if (good && this.#config.alwaysLogHealthCheckSuccess) this.#write(outcome, { successful_health_check_event: {} })
    if (!good && (this.#config.alwaysLogHealthCheckFailures || (first && failed)))
      this.#write(outcome, { health_check_failure_event: { failure_type: failureType, first_check: first } })
  }

  close(): void {
    closeSync(this.#fd)
  }

  #write({ endpoint, key }: CheckOutcome, event: Record<string, unknown>): void {
    const kind = this.#config.healthChecker?.$case === 'tcpHealthCheck' ? 'TCP' : 'HTTP'
    const match = /^\[?(?<host>[^\]]*?)\]?:(?<port>\d+)$/.exec(key)
    const { host, port } = match?.groups ?? {}
    const address =
      host === undefined
        ? { pipe: { path: key, mode: 0 } }
        : {
            socket_address: {
              protocol: 'TCP',
              address: host,
              resolver_name: '',
              ipv4_compat: false,
              port_value: Number(port),
            },
          }
    const line = {
      health_checker_type: kind,
      host: address,
      cluster_name: this.#clusterName,
      ...event,
      timestamp: new Date().toISOString(),
      ...(endpoint.metadata === undefined ? {} : { metadata: { filter_metadata: endpoint.metadata.filterMetadata } }),
    }
    writeSync(this.#fd, `${JSON.stringify(line)}\n`)
  }
}

/** Opens the event log of a check; null when none is asked for, or it cannot be opened (which is logged). */
export function healthCheckEvents(config: HealthCheck, clusterName: string, log: ComponentLog): HealthCheckEvents | null {
  if (config.eventLogPath === '') return null
  try {
    return new HealthCheckEvents(config, clusterName, openSync(config.eventLogPath, 'a', 0o644))
  } catch (error) {
    log.error(`cluster ${clusterName}: health check events cannot be written: ${WeftError.from(error).message}`)
    return null
  }
}
