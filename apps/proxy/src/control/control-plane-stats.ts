import type { Gauge, Stats, Text } from '../observe/stats.ts'

/** Envoy's `control_plane.`: how the streams to control planes are. */
export class ControlPlaneStats {
  readonly #connected: Gauge
  readonly #identifier: Text

  constructor(stats: Stats) {
    this.#connected = stats.gauge('control_plane.connected_state')
    this.#identifier = stats.text('control_plane.identifier')
    // Nothing here holds requests back.
    stats.gauge('control_plane.pending_requests')
    stats.counter('control_plane.rate_limit_enforced')
  }

  /** A stream was answered the first time, by one that calls itself so, or was lost. */
  connected(up: boolean, identifier: string): void {
    this.#connected.set(up ? 1 : 0)
    if (up) this.#identifier.set(identifier)
  }
}
