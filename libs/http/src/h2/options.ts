/**
 * What a connection is set up with; the defaults are Envoy's, but for the window of a stream: what a slow reader leaves
 * unread waits in memory up to that, and 1 MiB is what Envoy buffers for a connection.
 */
export interface Http2Options {
  /** Bytes of the dynamic HPACK table, each way. */
  hpackTableSize: number
  /** Streams the peer may have open at once (servers), or that we open (clients) if the peer allows. */
  maxConcurrentStreams: number
  initialStreamWindow: number
  initialConnectionWindow: number
  /** Bytes of a message's header lines (`name: value` and line end); with more its stream is refused. */
  maxHeadBytes: number
  maxHeaders: number
  /** Extended CONNECT (RFC 8441) is offered to clients; servers' offers are always used. */
  allowConnect: boolean
  /** Whether a malformed message ends its stream (RFC 9113 section 8.1.1); false: the whole connection. */
  streamErrorOnInvalidMessage: boolean
  /** Whether GOAWAY is sent before closing for a well-formed frame that must not be, as the RFC recommends (section 5.4.1). */
  announceViolations: boolean
  /** Huffman-code what is sent literally: fewer bytes, more CPU. */
  huffman: boolean
  budget: AbuseLimits
  /** 0: none. */
  keepalive: KeepaliveOptions
  /** Milliseconds for the peer to acknowledge our settings. */
  settingsTimeoutMs: number
  /** Milliseconds a stream with bytes to send may go without sending any. */
  stallTimeoutMs: number
  /** The same behind the end of its message; null: as long. */
  flushTimeoutMs: number | null
  /** Milliseconds between the two GOAWAYs of a drain: requests that were sent before the first came are served meanwhile. */
  drainNoticeMs: number
}

export interface AbuseLimits {
  /** Frames written while the peer does not read. */
  maxOutboundFrames: number
  /** Of those: PING, SETTINGS and RST_STREAM. */
  maxOutboundControlFrames: number
  maxConsecutiveEmptyFrames: number
  maxPriorityFramesPerStream: number
  maxWindowUpdatesPerDataFrame: number
  /** PING, SETTINGS, PRIORITY and unknown frames within a second. */
  maxControlFramesPerSecond: number
  /** The share of all its streams that a peer may give up before they are answered, or break; above 1: it is trusted. */
  prematureResetShare: number
  /** As many streams are taken for granted until there are more. */
  prematureResetStreams: number
  /** Milliseconds after which nobody is blamed for giving a stream up. */
  prematureResetMs: number
  /** RST_STREAM frames that a client may send at once, and a second. */
  resetBurst: number
  resetsPerSecond: number
  /** CONTINUATION frames of one header block. */
  maxContinuations: number
}

export interface KeepaliveOptions {
  /** Milliseconds without any byte from the peer until it is pinged; 0: never. */
  intervalMs: number
  timeoutMs: number
}

export const defaultHttp2Options: Http2Options = {
  hpackTableSize: 4096,
  maxConcurrentStreams: 1024,
  initialStreamWindow: 1024 * 1024,
  initialConnectionWindow: 24 * 1024 * 1024,
  maxHeadBytes: 60 * 1024,
  maxHeaders: 100,
  allowConnect: false,
  streamErrorOnInvalidMessage: true,
  announceViolations: true,
  huffman: true,
  budget: {
    maxOutboundFrames: 10000,
    maxOutboundControlFrames: 1000,
    maxConsecutiveEmptyFrames: 1,
    maxPriorityFramesPerStream: 100,
    maxWindowUpdatesPerDataFrame: 10,
    maxControlFramesPerSecond: 10000,
    prematureResetShare: 0.5,
    prematureResetStreams: 500,
    prematureResetMs: 2000,
    resetBurst: Number.POSITIVE_INFINITY,
    resetsPerSecond: Number.POSITIVE_INFINITY,
    maxContinuations: 64,
  },
  keepalive: { intervalMs: 0, timeoutMs: 20_000 },
  settingsTimeoutMs: 30_000,
  stallTimeoutMs: 300_000,
  flushTimeoutMs: null,
  drainNoticeMs: 1000,
}
