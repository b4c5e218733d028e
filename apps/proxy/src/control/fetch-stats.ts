import type { ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import type { Counter, Gauge, StatSource, Text } from '../observe/stats.ts'

/** Envoy's statistics of one fetched configuration: `cluster_manager.cds.update_success` and its kin. */
export class FetchStats {
  readonly #attempt: Counter
  readonly #success: Counter
  readonly #rejected: Counter
  readonly #failure: Counter
  readonly #initFetchTimeout: Counter
  readonly #time: Gauge
  readonly #version: Gauge
  readonly #versionText: Text

  /** A subscription to a server counts as an attempt of its own, the reading of a file does not. */
  constructor(stats: StatSource, prefix: string, source: ConfigSource) {
    this.#attempt = stats.counter(`${prefix}.update_attempt`)
    this.#success = stats.counter(`${prefix}.update_success`)
    this.#rejected = stats.counter(`${prefix}.update_rejected`)
    this.#failure = stats.counter(`${prefix}.update_failure`)
    this.#initFetchTimeout = stats.counter(`${prefix}.init_fetch_timeout`)
    this.#time = stats.gauge(`${prefix}.update_time`)
    this.#version = stats.gauge(`${prefix}.version`)
    this.#versionText = stats.text(`${prefix}.version_text`)
    const from = source.configSourceSpecifier?.$case
    if (from === 'ads' || from === 'apiConfigSource') this.#attempt.inc()
  }

  /** Counts an answer that was taken apart: accepted whole, or with problems. */
  answered(version: string, problems: readonly string[]): void {
    this.#attempt.inc()
    if (problems.length > 0) {
      this.#rejected.inc()
      return
    }
    this.#success.inc()
    this.#time.set(Date.now())
    // What is shown is made of the text, since it fits no slab.
    this.#version.set(1)
    this.#versionText.set(version)
  }

  /** Counts an attempt that gave no answer. */
  failed(): void {
    this.#attempt.inc()
    this.#failure.inc()
  }

  /** Counts that one goes on without a first answer. */
  timedOut(): void {
    this.#attempt.inc()
    this.#initFetchTimeout.inc()
  }
}
