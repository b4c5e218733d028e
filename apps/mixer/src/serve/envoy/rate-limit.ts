import {
  RateLimitResponse_Code as Code,
  RateLimitRequest,
  RateLimitResponse,
} from '@weft/contracts/envoy/service/ratelimit/v3/rls'
import { WeftError } from '@weft/service/errors'
import type { Mixer } from '../mixer.ts'
import { FoundAttributes } from './attributes.ts'

/** Descriptors that one request may have. */
const MAX_DESCRIPTORS = 100

/**
 * envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit: the request's bytes in, the response's out. The domain is the
 * name of the quota; a descriptor's entries are the attribute `ratelimit.descriptor`. The request is over its limit when
 * one of its descriptors is.
 */
export async function answerRateLimit(mixer: Mixer, message: Buffer, deadlineMs: number): Promise<Buffer> {
  const { domain, descriptors, hitsAddend } = RateLimitRequest.decode(message)
  if (domain === '')
    throw new WeftError('invalid_argument', 'the request names no domain', { hint: 'it is the name of the quota' })
  if (descriptors.length > MAX_DESCRIPTORS) throw new WeftError('invalid_argument', `more than ${MAX_DESCRIPTORS} descriptors`)
  const request = { name: domain, amount: hitsAddend === 0 ? 1 : hitsAddend, bestEffort: false, dedupId: '' }
  const statuses = await Promise.all(
    descriptors.map(async ({ entries }) => {
      const found = new FoundAttributes()
      found.set('context.protocol', 'http')
      found.set('ratelimit.domain', domain)
      found.map('ratelimit.descriptor', Object.fromEntries(entries.map(({ key, value }) => [key, value])))
      const { amount } = await mixer.allocate(found.bag, request, deadlineMs)
      return { code: amount < request.amount ? Code.OVER_LIMIT : Code.OK }
    }),
  )
  const overallCode = statuses.some(({ code }) => code === Code.OVER_LIMIT) ? Code.OVER_LIMIT : Code.OK
  return Buffer.from(RateLimitResponse.encode(RateLimitResponse.create({ overallCode, statuses })).finish())
}
