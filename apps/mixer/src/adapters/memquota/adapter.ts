import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { adapter, type QuotaGrant } from '../../adapter.ts'
import { int64, positiveDurationMs, protoMessage, stringMap } from '../fields.ts'
import { cellKey, limitFor } from '../quota/limits.ts'
import { CellTable, tickOf } from './cell-table.ts'
import { RecentAnswers } from './recent-answers.ts'

const amount = int64().pipe(z.number().nonnegative())
const limit = { maxAmount: amount.default(0), validDuration: positiveDurationMs().default(0) }

const config = protoMessage({
  quotas: z
    .array(
      protoMessage({
        name: z.string().min(1),
        ...limit,
        overrides: z.array(protoMessage({ dimensions: stringMap().default({}), ...limit })).default([]),
      }),
    )
    .default([]),
  minDeduplicationDuration: positiveDurationMs()
    .refine((ms) => ms > 0, 'must be more than 0')
    .default(1_000),
}).superRefine(({ quotas }, context) => {
  const names = new Set<string>()
  quotas.forEach(({ name }, index) => {
    if (names.has(name))
      context.addIssue({ code: 'custom', path: ['quotas', index, 'name'], message: `'${name}' has a limit already` })
    names.add(name)
  })
})

/** Counts quotas in this process's memory. */
export default adapter({
  name: 'memquota',
  config,
  open: (handler) => ({
    cells: new CellTable(),
    answers: new RecentAnswers<QuotaGrant>(handler.config.minDeduplicationDuration, handler.now()),
    quotas: new Map(handler.config.quotas.map((quota) => [quota.name, quota])),
  }),
  templates: {
    quota: (handler) => {
      const { cells, answers, quotas } = handler.state
      return (instance, call) => {
        const quota = quotas.get(instance.name)
        if (quota === undefined) {
          throw new WeftError('failed_precondition', `${handler.name} has no limit for quota '${instance.name}'`, {
            hint: 'add it to the quotas of the handler',
          })
        }
        const now = handler.now()
        const known = call.dedupId === '' ? undefined : answers.get(call.dedupId, now)
        if (known !== undefined) return known

        const { maxAmount, validDuration } = limitFor(quota, instance.dimensions)
        const tick = tickOf(now)
        const cell = cells.cell(cellKey(instance.name, instance.dimensions), maxAmount, validDuration, tick)
        const answer: QuotaGrant =
          call.amount < 0
            ? { amount: cell.release(-call.amount, tick), validDurationMs: 0 }
            : granted(cell.allocate(call.amount, call.bestEffort, tick), validDuration)
        if (call.dedupId !== '') answers.set(call.dedupId, answer, now)
        return answer
      }
    },
  },
})

function granted(amount: number, validDurationMs: number): QuotaGrant {
  return { amount, validDurationMs: amount === 0 ? 0 : validDurationMs }
}
