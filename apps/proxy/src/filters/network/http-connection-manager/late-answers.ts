import type { ManagedExchange } from './managed-exchange.ts'
import type { StreamLimit } from './stream-deadlines.ts'

/** Answers a request that takes too long, or ends it where its answer has begun. */
export function answerLate(exchange: ManagedExchange, limit: StreamLimit): void {
  const { stats } = exchange.plan
  switch (limit) {
    case 'duration':
      stats.maxDurationReached.inc()
      exchange.reply(504, 'downstream duration timeout', { details: 'max_duration_timeout', grpcStatus: 4, byManager: true })
      break
    case 'request':
      stats.requestTimeout.inc()
      exchange.reply(408, 'request timeout', { details: 'request_overall_timeout', byManager: true })
      break
    case 'head':
      stats.headerTimeout.inc()
      exchange.forgetHead()
      exchange.refuse(408, { details: 'request_header_timeout', close: true }, 'request header timeout')
      break
    case 'idle':
      stats.requestIdleTimeout.inc()
      exchange.info.addResponseFlag('SI')
      exchange.reply(exchange.requestComplete ? 504 : 408, 'stream timeout', { details: 'stream_idle_timeout', byManager: true })
      break
  }
}
