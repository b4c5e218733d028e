import { type Logger as PinoLogger, pino } from 'pino'
import { traceFields } from './trace-context.ts'

export type Logger = PinoLogger

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Keys whose values never reach a log line. */
const secretKeys = ['privateKey', 'private_key', 'token', 'password', 'authorization', 'passphrase']

/**
 * A structured logger: one JSON line an event on standard error, with the service's name and an ISO time.
 * Values under keys that hold secrets are redacted, at the top and one level down. While tracing is on, lines carry trace and span id.
 */
export function createLogger(service: string, level: LogLevel = 'info'): Logger {
  return pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: () => traceFields() ?? {},
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    },
    pino.destination({ fd: 2, sync: true }),
  )
}
