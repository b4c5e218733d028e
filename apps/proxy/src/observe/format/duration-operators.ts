import { invalid } from '../../plan/problems.ts'
import type { FormatContext } from './context.ts'
import { type OperatorKind, plain } from './operator.ts'

/** Points of a request's (or session's) life, monotonic ms; below zero: not reached. */
const points: Readonly<Record<string, (context: FormatContext) => number>> = {
  DS_RX_BEG: ({ info }) => info.startMs,
  DS_RX_END: ({ info }) => info.requestEndMs,
  US_CX_BEG: ({ info }) => info.upstreamConnection?.connectStartMs ?? -1,
  US_CX_END: ({ info }) => info.upstreamConnection?.connectEndMs ?? -1,
  US_HS_END: ({ info }) => (info.upstreamConnection?.tls == null ? -1 : (info.upstreamConnection.connectEndMs ?? -1)),
  US_TX_BEG: ({ info }) => info.upstreamSendStartMs,
  US_TX_END: ({ info }) => info.upstreamSendEndMs,
  US_RX_BEG: ({ info }) => info.upstreamFirstByteMs,
  US_RX_BODY_BEG: ({ info }) => (info.bytesSent === 0 ? -1 : info.upstreamFirstByteMs),
  US_RX_END: ({ info }) => info.upstreamLastByteMs,
  DS_TX_BEG: ({ info }) => info.downstreamFirstByteMs,
  DS_TX_END: ({ info }) => info.endMs,
  DS_CX_BEG: ({ info, request }) => (request === null ? info.startMs : -1),
  DS_CX_END: ({ info, request }) => (request === null ? info.endMs : -1),
}
const unreached = () => -1

const parts: Readonly<Record<string, number>> = { ms: 1, us: 1e3, ns: 1e6 }

function between(from: number, to: number, perMs = 1): number | null {
  return to < 0 || from < 0 ? null : Math.floor((to - from) * perMs)
}

/** `COMMON_DURATION(START:END:PRECISION)`. */
const common: OperatorKind = (argument, path) => {
  const [from = '', to = '', precision = 'ms'] = argument.split(':')
  const perMs = parts[precision]
  if (to === '' || perMs === undefined)
    throw invalid(path, `COMMON_DURATION needs START:END:PRECISION, the last of ms, us and ns, not '${argument}'`)
  const start = points[from] ?? unreached
  const end = points[to] ?? unreached
  return (context) => between(start(context), end(context), perMs)
}

/** How long what took. */
export const durationOperators: Readonly<Record<string, OperatorKind>> = {
  COMMON_DURATION: common,
  ...plain({
    DURATION: ({ info }) => Math.floor(info.elapsedMs()),
    REQUEST_DURATION: ({ info }) => between(info.startMs, info.requestEndMs),
    REQUEST_TX_DURATION: ({ info }) => between(info.startMs, info.upstreamSendEndMs),
    RESPONSE_DURATION: ({ info }) => between(info.startMs, info.upstreamFirstByteMs),
    RESPONSE_TX_DURATION: ({ info }) => between(info.upstreamFirstByteMs, info.endMs),
    // Only QUIC's acknowledgements tell of it.
    ROUNDTRIP_DURATION: () => null,
    // Of a connection, not of a request.
    DOWNSTREAM_HANDSHAKE_DURATION: ({ request, connection: { handshakeMs } }) =>
      request === null && handshakeMs !== undefined ? Math.floor(handshakeMs) : null,
    UPSTREAM_CONNECTION_POOL_READY_DURATION: ({ info }) => {
      if (info.upstreamConnection === null || info.attemptStartMs < 0) return null
      return Math.max(0, between(info.attemptStartMs, info.upstreamConnection.connectEndMs ?? info.attemptStartMs) ?? 0)
    },
  }),
}
