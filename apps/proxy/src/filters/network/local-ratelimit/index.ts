import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit'
import { compileConnectionBucket } from '../../connection-bucket.ts'
import type { NetworkGateKind, Refusal } from '../filter.ts'

/** `envoy.filters.network.local_ratelimit`: a token bucket, one for all workers; a connection takes a token or is closed. */
export const networkLocalRatelimit: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit'],
  compile(config, path, context) {
    const source = LocalRateLimit.decode(config)
    const identity = source.shareKey === '' ? path : `network local_ratelimit\n${source.shareKey}`
    const bucket = compileConnectionBucket(source, identity, path, context)
    const limited = context.stats.counter(`local_rate_limit.${source.statPrefix}.rate_limited`)
    return {
      start: () => ({
        onConnect() {
          if (bucket.take()) return 'continue'
          limited.inc()
          return refusal
        },
      }),
      close: () => bucket.close(),
    }
  },
}

const refusal: Refusal = { details: '', flag: 'URX', closeReason: 'local_ratelimit_close_over_limit' }
