import { z } from 'zod'
import { adapter, type QuotaGrant } from '../../adapter.ts'
import { int64, positiveDurationMs, protoMessage, stringMap } from '../fields.ts'
import { cellKey, limitFor, quotasOf, refuseSameNames } from '../quota/limits.ts'
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
}).superRefine(refuseSameNames)

/** Counts quotas in this process's memory. */
export default adapter({
  name: 'memquota',
  config,
  open: (handler) => ({
    cells: new CellTable(),
    answers: new RecentAnswers<QuotaGrant>(handler.config.minDeduplicationDuration, handler.now()),
    quotaNamed: quotasOf(handler.name, handler.config.quotas),
  }),
  templates: {
    quota: (handler) => {
      const { cells, answers, quotaNamed } = handler.state
      return (instance, call) => {
        const quota = quotaNamed(instance.name)
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
