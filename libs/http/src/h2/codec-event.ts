/** What happens on a connection that is worth counting; floods and resets under the names that Envoy counts them by. */
export type CodecEvent =
  | 'stream_opened'
  | 'stream_closed'
  | 'rx_reset'
  | 'tx_reset'
  | 'goaway_sent'
  /** A malformed message (RFC 9113 section 8.1.1). */
  | 'rx_messaging_error'
  /** A head is longer than may be, or has too many fields. */
  | 'header_overflow'
  | 'trailers'
  | 'keepalive_timeout'
  /** A stream could send nothing for too long. */
  | 'tx_flush_timeout'
  /** We refused a stream. */
  | 'stream_refused_errors'
  | FloodEvent

/** What the peer has overdone. */
export type FloodEvent =
  | 'outbound_flood'
  | 'outbound_control_flood'
  | 'inbound_empty_frames_flood'
  | 'inbound_priority_frames_flood'
  | 'inbound_window_update_frames_flood'
  /** Of PING, SETTINGS, PRIORITY and unknown frames there were too many within a second. */
  | 'inbound_control_frames_flood'
  /** Streams are given up, or broken, too often. */
  | 'premature_resets'
  /** A header block in too many frames, or longer than is collected. */
  | 'header_block_flood'
