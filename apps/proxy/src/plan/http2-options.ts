import type { Http2ProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { type AbuseLimits, defaultHttp2Options, type Http2Options } from '@weft/http/h2/options'
import { durationMs } from './duration.ts'
import type { Runtime } from './runtime.ts'

/** What `http2_protocol_options` say, with our defaults for what they leave open. */
export function compileHttp2Options(source: Http2ProtocolOptions | undefined): Http2Options {
  const defaults = defaultHttp2Options
  if (source === undefined) return defaults
  const { budget } = defaults
  return {
    ...defaults,
    hpackTableSize: source.hpackTableSize ?? defaults.hpackTableSize,
    maxConcurrentStreams: source.maxConcurrentStreams ?? defaults.maxConcurrentStreams,
    initialStreamWindow: source.initialStreamWindowSize ?? defaults.initialStreamWindow,
    initialConnectionWindow: source.initialConnectionWindowSize ?? defaults.initialConnectionWindow,
    allowConnect: source.allowConnect,
    huffman: source.enableHuffmanEncoding ?? defaults.huffman,
    keepalive: {
      intervalMs: durationMs(source.connectionKeepalive?.interval, 0),
      timeoutMs: durationMs(source.connectionKeepalive?.timeout, 0) || defaults.keepalive.timeoutMs,
    },
    budget: {
      ...budget,
      ...resetLimits(source),
      maxOutboundFrames: source.maxOutboundFrames ?? budget.maxOutboundFrames,
      maxOutboundControlFrames: source.maxOutboundControlFrames ?? budget.maxOutboundControlFrames,
      maxConsecutiveEmptyFrames: source.maxConsecutiveInboundFramesWithEmptyPayload ?? budget.maxConsecutiveEmptyFrames,
      maxPriorityFramesPerStream: source.maxInboundPriorityFramesPerStream ?? budget.maxPriorityFramesPerStream,
      maxWindowUpdatesPerDataFrame: source.maxInboundWindowUpdateFramesPerDataFrameSent ?? budget.maxWindowUpdatesPerDataFrame,
    },
  }
}

/** Where one of them is set, the other has nghttp2's default, as with Envoy. */
function resetLimits({ streamResetBurst, streamResetRate }: Http2ProtocolOptions): Partial<AbuseLimits> {
  if (streamResetBurst === undefined && streamResetRate === undefined) return {}
  return { resetBurst: streamResetBurst ?? 1000, resetsPerSecond: streamResetRate ?? 33 }
}

/** The same for clients, of whose resets the runtime says how many may be. */
export function compileClientHttp2Options(source: Http2ProtocolOptions | undefined, runtime: Runtime): Http2Options {
  const options = compileHttp2Options(source)
  const { budget } = options
  return {
    ...options,
    budget: {
      ...budget,
      get prematureResetStreams() {
        return runtime.number('overload.premature_reset_total_stream_count', budget.prematureResetStreams)
      },
      get prematureResetMs() {
        // Whole seconds, and those that have begun count.
        return (runtime.number('overload.premature_reset_min_stream_lifetime_seconds', 1) + 1) * 1000
      },
    },
  }
}

/** The same for servers, whose mistakes end the connection, without a word, as with Envoy. */
export function compileUpstreamHttp2Options(source: Http2ProtocolOptions | undefined): Http2Options {
  return {
    ...compileHttp2Options(source),
    announceViolations: false,
    streamErrorOnInvalidMessage:
      source?.overrideStreamErrorOnInvalidHttpMessage ?? source?.streamErrorOnInvalidHttpMessaging ?? false,
  }
}

/**
 * The same for a connection that carries the requests of many clients between sidecars: what one of them does wrong, or
 * slowly, is not the others' matter.
 */
export function meshHttp2Options(options: Http2Options): Http2Options {
  return {
    ...options,
    streamErrorOnInvalidMessage: true,
    // A reader that stands still holds no more than its stream's window, and many of those don't fill the connection's.
    initialStreamWindow: Math.min(options.initialStreamWindow, 256 * 1024),
    initialConnectionWindow: Math.max(options.initialConnectionWindow, 128 * 1024 * 1024),
    // Clients that go away are no sign of a sidecar's malice.
    budget: { ...options.budget, prematureResetShare: Number.POSITIVE_INFINITY, resetBurst: Number.POSITIVE_INFINITY },
    huffman: false,
  }
}
