import type { Http2Options } from './options.ts'

/** Milliseconds between two looks at the clock that its keepalive asks for; 1000 is what all else needs. */
export function tickMsOf({ keepalive: { intervalMs, timeoutMs } }: Http2Options): number {
  return intervalMs === 0 ? 1000 : Math.max(20, Math.min(1000, intervalMs / 4, timeoutMs / 4))
}

/** What a connection owes to time: the acknowledgement of our settings, keepalive, the notice before a drain's end. */
export class Liveness {
  private readonly options: Http2Options
  private readonly now: () => number
  private readonly startedMs: number
  private heardMs: number
  /** Bytes came since the last look: cheaper than to ask the time for each read. */
  private heardSince = true
  private pingedMs = 0
  private drainMs = 0

  constructor(options: Http2Options, now: () => number) {
    this.options = options
    this.now = now
    this.startedMs = now()
    this.heardMs = this.startedMs
  }

  /** Bytes came from the peer. */
  heard(): void {
    this.heardSince = true
  }

  get settingsOverdue(): boolean {
    const { settingsTimeoutMs } = this.options
    return settingsTimeoutMs > 0 && this.now() - this.startedMs >= settingsTimeoutMs
  }

  beginDrain(): void {
    this.drainMs = this.now()
  }

  get drainNoticeOver(): boolean {
    return this.now() - this.drainMs >= this.options.drainNoticeMs
  }

  /** Whether it is time to ping the peer, or to give it up. */
  check(): 'ping' | 'lost' | null {
    const { intervalMs, timeoutMs } = this.options.keepalive
    if (intervalMs === 0) return null
    const now = this.now()
    if (this.heardSince) {
      this.heardSince = false
      this.heardMs = now
      this.pingedMs = 0
      return null
    }
    if (this.pingedMs > 0) return now - this.pingedMs >= timeoutMs ? 'lost' : null
    if (now - this.heardMs < intervalMs) return null
    this.pingedMs = now
    return 'ping'
  }
}
