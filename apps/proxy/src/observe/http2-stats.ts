import type { CodecEvent } from '@weft/http/h2/codec-event'
import type { Counter, Gauge, StatSource } from './stats.ts'

/** The stats of an HTTP/2 codec under Envoy's names: `http2.` of clients' connections, `cluster.<name>.http2.` of endpoints'. */
export class Http2Stats {
  private readonly active: Gauge
  private readonly counters = new Map<CodecEvent, Counter>()
  private readonly connections: Counter

  constructor(stats: StatSource, prefix: string) {
    // Named as the codec that Envoy has by default.
    this.connections = stats.counter(`${prefix}nghttp2_${prefix === 'http2.' ? 'downstream' : 'upstream'}_connections`)
    this.active = stats.gauge(`${prefix}streams_active`)
    for (const event of counted) this.counters.set(event, stats.counter(`${prefix}${event}`))
    // Envoy's alone: of its libraries, and of what is not kept apart here.
    for (const name of always) stats.counter(`${prefix}${name}`)
    for (const name of alwaysGauges) stats.gauge(`${prefix}${name}`)
    // Counted by who looks at underscores, and there from the first connection on.
    for (const name of ofUnderscores) stats.counter(`${prefix}${name}`)
  }

  connectionBegins(): void {
    this.connections.inc()
  }

  note(event: CodecEvent): void {
    if (event === 'stream_opened') this.active.inc()
    else if (event === 'stream_closed') this.active.dec()
    else this.counters.get(event)?.inc()
  }
}

const always = [
  'cookies_total_bytes_too_large',
  'header_list_size_too_large',
  'headers_cb_no_stream',
  'metadata_empty_frames',
  'nghttp2_downstream_connections',
  'nghttp2_upstream_connections',
  'oghttp2_downstream_connections',
  'oghttp2_upstream_connections',
]
const alwaysGauges = ['deferred_stream_close', 'outbound_control_frames_active', 'outbound_frames_active', 'pending_send_bytes']

const ofUnderscores = ['dropped_headers_with_underscores', 'requests_rejected_with_underscores_in_headers']

const counted = [
  'rx_reset',
  'tx_reset',
  'goaway_sent',
  'rx_messaging_error',
  'header_overflow',
  'trailers',
  'keepalive_timeout',
  'tx_flush_timeout',
  'stream_refused_errors',
  'outbound_flood',
  'outbound_control_flood',
  'inbound_empty_frames_flood',
  'inbound_priority_frames_flood',
  'inbound_window_update_frames_flood',
  'inbound_control_frames_flood',
  'premature_resets',
  'header_block_flood',
] as const satisfies readonly CodecEvent[]
