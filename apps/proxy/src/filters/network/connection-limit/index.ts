import { ConnectionLimit } from '@weft/contracts/envoy/extensions/filters/network/connection_limit/v3/connection_limit'
import { durationMs } from '../../../plan/duration.ts'
import { invalid } from '../../../plan/problems.ts'
import { TokenBuckets } from '../../../shared/token-buckets.ts'
import type { NetworkGateKind } from '../filter.ts'

/** `envoy.filters.network.connection_limit`: so many connections at once, counted over all workers. */
export const connectionLimit: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit'],
  compile(config, path, { stats, services, runtime }) {
    const source = ConnectionLimit.decode(config)
    const limit = source.maxConnections ?? 0
    if (limit < 1) throw invalid(`${path}.max_connections`, 'must be greater than or equal to 1')
    const count = (services?.tokenBuckets ?? new TokenBuckets(1)).openCount(path)
    const active = stats.gauge(`connection_limit.${source.statPrefix}.active_connections`)
    const limited = stats.counter(`connection_limit.${source.statPrefix}.limited_connections`)
    const { runtimeEnabled } = source
    const isEnabled = () =>
      runtimeEnabled === undefined || runtime.boolean(runtimeEnabled.runtimeKey, runtimeEnabled.defaultValue ?? true)
    const refusal = { details: '', closeReason: 'over_connection_limit', afterMs: durationMs(source.delay, 0) }
    return {
      start() {
        let entered = false
        return {
          onConnect() {
            if (!isEnabled()) return 'continue'
            if (!count.enter(limit)) {
              limited.inc()
              return refusal
            }
            entered = true
            active.inc()
            return 'continue'
          },
          onClose() {
            if (!entered) return
            count.leave()
            active.dec()
          },
        }
      },
      close: () => count.release(),
    }
  },
}
