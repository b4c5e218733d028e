import { z } from 'zod'
import { adapter, type StatusCode, statusCodes, type Verdict } from '../../adapter.ts'
import { positiveDurationMs, protoMessage } from '../fields.ts'

const codeNumbers = new Set<number>(Object.values(statusCodes))

const code = z.union([
  z
    .number()
    .int()
    .refine((number) => codeNumbers.has(number), 'is no status code'),
  z.enum(Object.keys(statusCodes) as [StatusCode, ...StatusCode[]]).transform((name): number => statusCodes[name]),
])

/** Denies whatever it is asked. */
export default adapter({
  name: 'denier',
  config: protoMessage({
    status: protoMessage({
      code: code.default(statusCodes.FAILED_PRECONDITION),
      message: z.string().default(''),
    }).prefault({}),
    validDuration: positiveDurationMs().default(5_000),
    validUseCount: z.number().int().nonnegative().default(1_000),
  }),
  templates: {
    checknothing: ({ config }) => always(verdictOf(config)),
    listentry: ({ config }) => always(verdictOf(config)),
    quota: () => () => ({ amount: 0, validDurationMs: 0 }),
  },
})

function always(verdict: Verdict): () => Verdict {
  return () => verdict
}

function verdictOf(config: { status: { code: number; message: string }; validDuration: number; validUseCount: number }): Verdict {
  return {
    code: config.status.code,
    message: config.status.message,
    validDurationMs: config.validDuration,
    validUseCount: config.validUseCount,
  }
}
