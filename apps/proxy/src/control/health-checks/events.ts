import { closeSync, openSync, writeSync } from 'node:fs'
import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { HealthCheckEventFileSink } from '@weft/contracts/envoy/extensions/health_check/event_sinks/file/v3/file'
import { WeftError } from '@weft/service/errors'
import type { ComponentLog } from '../../log.ts'
import { unsupported } from '../../plan/problems.ts'
import type { ProbeResult } from './probe.ts'

const fileSink = 'envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink'

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

/** Events of one cluster's health checks, as `event_logger` and the older `event_log_path` ask for: one JSON object (`HealthCheckEvent`) a line. */
export class HealthCheckEvents {
  readonly #config: HealthCheck
  readonly #clusterName: string
  readonly #files: readonly number[]

  constructor(config: HealthCheck, clusterName: string, files: readonly number[]) {
    this.#config = config
    this.#clusterName = clusterName
    this.#files = files
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
    for (const file of this.#files) closeSync(file)
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
    for (const file of this.#files) writeSync(file, `${JSON.stringify(line)}\n`)
  }
}

/** The files that a check's events go to. Throws for a sink of another kind. */
export function eventLogPaths({ eventLogPath, eventLogger }: HealthCheck, path: string): string[] {
  const sinks = eventLogger.map(({ name, typedConfig }, i) => {
    if (typedConfig?.typeUrl.endsWith(`/${fileSink}`) !== true)
      throw unsupported(`${path}.event_logger[${i}].typed_config`, `the event sink '${typedConfig?.typeUrl ?? name}'`)
    return HealthCheckEventFileSink.decode(typedConfig.value).eventLogPath
  })
  return eventLogPath === '' ? sinks : [eventLogPath, ...sinks]
}

/** Opens the event logs of a check; null when none is asked for, or one cannot be opened (which is logged). */
export function healthCheckEvents(config: HealthCheck, clusterName: string, log: ComponentLog): HealthCheckEvents | null {
  const paths = eventLogPaths(config, 'health_checks[0]')
  if (paths.length === 0) return null
  const files: number[] = []
  try {
    for (const path of paths) files.push(openSync(path, 'a', 0o644))
    return new HealthCheckEvents(config, clusterName, files)
  } catch (error) {
    for (const file of files) closeSync(file)
    log.error(`cluster ${clusterName}: health check events cannot be written: ${WeftError.from(error).message}`)
    return null
  }
}
