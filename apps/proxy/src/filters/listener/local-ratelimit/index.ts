import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit'
import { compileConnectionBucket } from '../../connection-bucket.ts'
import type { ListenerFilterKind } from '../filter.ts'

/** `envoy.filters.listener.local_ratelimit`: a token bucket, one for all workers, before anything is read of a connection. */
export const listenerLocalRatelimit: ListenerFilterKind = {
  types: ['envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit'],
  compile(config, path, context) {
    const source = LocalRateLimit.decode(config)
    const bucket = compileConnectionBucket(source, path, path, context)
    const limited = context.stats.counter(`listener_local_ratelimit.${source.statPrefix}.rate_limited`)
    return {
      maxBytes: 0,
      inspect() {
        if (bucket.take()) return 0
        limited.inc()
        return 'refuse'
      },
      close: () => bucket.close(),
    }
  },
}
