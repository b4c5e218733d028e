import type { WireBytes } from '../wire-bytes.ts'
import type { FormatContext } from './context.ts'
import { type Operator, type OperatorKind, plain } from './operator.ts'

function wire(name: keyof WireBytes['counts'], session: (context: FormatContext) => number): Operator {
  return (context) => {
    if (context.request === null) return session(context)
    return context.info.wire?.counts[name] ?? 0
  }
}

const none = () => 0
const received = ({ info }: FormatContext): number => info.bytesReceived
const sent = ({ info }: FormatContext): number => info.bytesSent

/** Pairs of an operator and of its twin, which differs only where heads are compressed; what is counted is what HTTP/1.1 has. */
function heads(name: string, read: Operator): Record<string, Operator> {
  return { [name.replace('_HEADER', '_DECOMPRESSED_HEADER')]: read, [name]: read }
}

/** How much a request (or session) was on the wire. */
export const wireOperators: Readonly<Record<string, OperatorKind>> = plain({
  BYTES_RECEIVED: received,
  BYTES_SENT: sent,
  // Only QUIC knows.
  BYTES_RETRANSMITTED: none,
  PACKETS_RETRANSMITTED: none,
  DOWNSTREAM_WIRE_BYTES_RECEIVED: wire('downstreamReceived', received),
  DOWNSTREAM_WIRE_BYTES_SENT: wire('downstreamSent', sent),
  UPSTREAM_WIRE_BYTES_SENT: wire('upstreamSent', received),
  UPSTREAM_WIRE_BYTES_RECEIVED: wire('upstreamReceived', sent),
  ...heads('DOWNSTREAM_HEADER_BYTES_RECEIVED', wire('downstreamHeadReceived', none)),
  ...heads('DOWNSTREAM_HEADER_BYTES_SENT', wire('downstreamHeadSent', none)),
  ...heads('UPSTREAM_HEADER_BYTES_SENT', wire('upstreamHeadSent', none)),
  ...heads('UPSTREAM_HEADER_BYTES_RECEIVED', wire('upstreamHeadReceived', none)),
})
