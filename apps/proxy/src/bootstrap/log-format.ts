import type { Bootstrap_ApplicationLogConfig as ApplicationLogConfig } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { invalid } from '../plan/problems.ts'

/**
 * The pattern of the proxy's own log that the bootstrap's `application_log_config` gives; undefined: none. `isGiven`: the flag
 * `--log-format` gives one too. Throws WeftError.
 */
export function logFormatOf(config: ApplicationLogConfig | undefined, isGiven: boolean): string | undefined {
  const format = config?.logFormat?.logFormat
  if (format === undefined) return undefined
  const path = 'application_log_config.log_format'
  if (isGiven) throw invalid(path, 'Only one of ApplicationLogConfig.log_format or CLI option --log-format can be specified.')
  if (format.$case === 'textFormat') return format.value
  // As JSON, whose texts are patterns.
  const pattern = JSON.stringify(format.value)
  for (const flag of ['%v', '%_'])
    if (pattern.includes(flag))
      throw invalid(`${path}.json_format`, `Usage of ${flag} is unavailable for JSON log formats`, 'write %j')
  return pattern
}
