import { z } from 'zod'
import { int64, protoMessage } from '../fields.ts'

export const levels = ['INFO', 'WARNING', 'ERROR'] as const
export type Level = (typeof levels)[number]

const level = z.enum(levels)

/** The parameters of a stdio handler, as Istio 1.0 has them. */
export const config = protoMessage({
  logStream: z.enum(['STDOUT', 'STDERR', 'FILE', 'ROTATED_FILE']).default('STDOUT'),
  /** Levels by the severity that log entries give; others are INFO. */
  severityLevels: z.record(z.string(), level).default({
    INFORMATIONAL: 'INFO',
    informational: 'INFO',
    INFO: 'INFO',
    info: 'INFO',
    WARNING: 'WARNING',
    warning: 'WARNING',
    WARN: 'WARNING',
    warn: 'WARNING',
    ERROR: 'ERROR',
    error: 'ERROR',
    ERR: 'ERROR',
    err: 'ERROR',
    FATAL: 'ERROR',
    fatal: 'ERROR',
  }),
  metricLevel: level.default('INFO'),
  outputAsJson: z.boolean().default(false),
  /** Entries below this level are not written. */
  outputLevel: level.default('INFO'),
  outputPath: z.string().default(''),
  maxMegabytesBeforeRotation: int64().pipe(z.number().positive()).default(100),
  maxDaysBeforeRotation: int64().pipe(z.number().positive()).default(30),
  maxRotatedFiles: int64().pipe(z.number().nonnegative()).default(1_000),
}).superRefine(({ logStream, outputPath }, context) => {
  const toFile = logStream === 'FILE' || logStream === 'ROTATED_FILE'
  if (toFile && outputPath === '')
    context.addIssue({ code: 'custom', path: ['outputPath'], message: `must be given for ${logStream}` })
})

export type StdioConfig = z.output<typeof config>
