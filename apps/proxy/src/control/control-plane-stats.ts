import type { Gauge, StatSource, Text } from '../observe/stats.ts'

/** Envoy's `control_plane.`: how a stream to a control plane is. */
export class ControlPlaneStats {
  readonly #connected: Gauge
  readonly #identifier: Text

  /** @param prefix what the statistics of a stream for one subscription begin with (`cluster.reviews.`); empty for ADS */
  constructor(stats: StatSource, prefix: string) {
    this.#connected = stats.gauge(`${prefix}control_plane.connected_state`)
    this.#identifier = stats.text(`${prefix}control_plane.identifier`)
    // Nothing here holds requests back.
    stats.gauge(`${prefix}control_plane.pending_requests`)
    stats.counter(`${prefix}control_plane.rate_limit_enforced`)
  }

  /** A stream was opened, was answered the first time by one that calls itself so, or was lost. */
  connected(up: boolean, identifier: string): void {
    this.#connected.set(up ? 1 : 0)
    if (identifier !== '') this.#identifier.set(identifier)
  }
}
