import type { Counter, Gauge, StatSource } from '../observe/stats.ts'

/** Envoy's statistics of one fetched configuration: `cluster_manager.cds.update_success` and its kin. */
export class FetchStats {
  readonly attempt: Counter
  readonly success: Counter
  readonly rejected: Counter
  readonly failure: Counter
  readonly initFetchTimeout: Counter
  readonly #time: Gauge
  readonly #version: Gauge

  constructor(stats: StatSource, prefix: string) {
    this.attempt = stats.counter(`${prefix}.update_attempt`)
    this.success = stats.counter(`${prefix}.update_success`)
    this.rejected = stats.counter(`${prefix}.update_rejected`)
    this.failure = stats.counter(`${prefix}.update_failure`)
    this.initFetchTimeout = stats.counter(`${prefix}.init_fetch_timeout`)
    this.#time = stats.gauge(`${prefix}.update_time`)
    this.#version = stats.gauge(`${prefix}.version`)
  }

  /** Counts an answer that was taken apart: accepted whole, or with problems. */
  answered(version: string, problems: readonly string[]): void {
    this.attempt.inc()
    if (problems.length > 0) {
      this.rejected.inc()
      return
    }
    this.success.inc()
    this.#time.set(Date.now())
    this.#version.set(hash(version))
  }

  /** Counts an attempt that gave no answer. */
  failed(): void {
    this.attempt.inc()
    this.failure.inc()
  }
}

/** A number for a version, so that two proxies with the same version show the same (FNV-1a). */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0
  return value
}
