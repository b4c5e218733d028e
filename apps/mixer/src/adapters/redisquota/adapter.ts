import { hash } from 'node:crypto'
import { WeftError } from '@weft/service/errors'
import type { Cluster, Redis } from 'ioredis'
import { z } from 'zod'
import { adapter, type QuotaCall, type QuotaGrant } from '../../adapter.ts'
import { int64, positiveDurationMs, protoMessage, stringMap } from '../fields.ts'
import { cellKey, limitFor, quotasOf, refuseSameNames } from '../quota/limits.ts'
import { connectRedis, parseRedisUrl } from './client.ts'
import { quotaScript, quotaScriptSha } from './script.ts'

/** An answer by deduplication id is kept as long as its window, within these bounds. */
const DEDUP_MS = { least: 1_000, most: 60_000 }

const amount = int64().pipe(z.number().nonnegative())

const quotaLimit = protoMessage({
  name: z.string().min(1),
  maxAmount: amount,
  validDuration: positiveDurationMs().refine((ms) => ms > 0, 'must be more than 0'),
  bucketDuration: positiveDurationMs().default(0),
  rateLimitAlgorithm: z.enum(['FIXED_WINDOW', 'ROLLING_WINDOW']).default('FIXED_WINDOW'),
  overrides: z.array(protoMessage({ dimensions: stringMap().default({}), maxAmount: amount })).default([]),
}).superRefine(({ rateLimitAlgorithm, bucketDuration, validDuration }, context) => {
  if (rateLimitAlgorithm !== 'ROLLING_WINDOW') return
  const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['bucketDuration'], message })
  if (bucketDuration <= 0) refuse('must be more than 0 for ROLLING_WINDOW')
  else if (bucketDuration >= validDuration) refuse('must be shorter than validDuration')
  else if (validDuration / bucketDuration > 10_000) refuse('must not divide validDuration into more than 10,000 buckets')
})

const config = protoMessage({
  redisServerUrl: z.string().default(''),
  connectionPoolSize: int64().pipe(z.number().nonnegative('must not be negative')).default(10),
  quotas: z.array(quotaLimit).min(1, 'must hold at least one quota'),
})
  .superRefine(refuseSameNames)
  .superRefine(({ redisServerUrl }, context) => {
    try {
      if (redisServerUrl !== '') parseRedisUrl(redisServerUrl)
    } catch (error) {
      context.addIssue({ code: 'custom', path: ['redisServerUrl'], message: WeftError.from(error).message })
    }
  })

/** Counts quotas in Redis, so that all Mixers count together. */
export default adapter({
  name: 'redisquota',
  config,
  async open(handler) {
    const url = handler.config.redisServerUrl || handler.redisUrl
    if (url === undefined) {
      throw new WeftError('failed_precondition', `${handler.name} names no Redis`, {
        hint: 'set redisServerUrl in the handler, or start Mixer with --redis-url',
      })
    }
    return {
      client: await connectRedis(url, handler),
      quotaNamed: quotasOf(handler.name, handler.config.quotas),
    }
  },
  close: ({ client }) => client.disconnect(),
  templates: {
    quota: (handler) => {
      const { client, quotaNamed } = handler.state
      return async (instance, call) => {
        const quota = quotaNamed(instance.name)
        const bucketMs = quota.rateLimitAlgorithm === 'ROLLING_WINDOW' ? quota.bucketDuration : 0
        const window = Math.ceil(quota.validDuration)
        // A name by hash keeps keys short whatever callers send; the braces keep both keys in one slot of a cluster.
        const identity = `${handler.name}|${bucketMs}/${window}|${cellKey(instance.name, instance.dimensions)}`
        const cell = `weft:quota:{${hash('sha256', identity, 'base64url')}}`
        const { maxAmount } = limitFor(quota, instance.dimensions)
        return allocate(client, cell, call, [maxAmount, window, Math.ceil(bucketMs)])
      }
    },
  },
})

async function allocate(
  client: Redis | Cluster,
  cell: string,
  { amount, bestEffort, dedupId }: QuotaCall,
  [max, windowMs, bucketMs]: [max: number, windowMs: number, bucketMs: number],
): Promise<QuotaGrant> {
  const keys = dedupId === '' ? [cell] : [cell, `${cell}:${hash('sha256', dedupId, 'base64url')}`]
  const dedupMs = Math.min(Math.max(windowMs, DEDUP_MS.least), DEDUP_MS.most)
  const parameters = [keys.length, ...keys, amount, bestEffort ? 1 : 0, max, windowMs, bucketMs, dedupMs] as const
  if (client.status !== 'ready')
    throw new WeftError('unavailable', 'Redis is not connected', { hint: 'see the health of the handler' })
  const [first, ...rest] = parameters
  const reply: unknown = await client.evalsha(quotaScriptSha, first, ...rest).catch((error: unknown) => {
    if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return client.eval(quotaScript, first, ...rest)
    throw error
  })
  if (!Array.isArray(reply)) throw new WeftError('internal', 'Redis gave no answer to a quota')
  return { amount: Number(reply[0]), validDurationMs: Number(reply[1]) }
}
