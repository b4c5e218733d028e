import type { CompiledListenerFilter, ConnectionFacts } from '../filters/listener/filter.ts'
import { type Connection, ignore } from './connection.ts'
import { Timeout, type TimerWheel } from './timer-wheel.ts'

/** How a listener's filters look at connections. */
export interface InspectionPlan {
  readonly filters: readonly CompiledListenerFilter[]
  /** How long a client may take for what they need (ms; 0: any time), and whether it goes on without them then. */
  readonly inspectTimeoutMs: number
  readonly continueOnTimeout: boolean
}

/** Who hears what becomes of a connection: at the end of `passed` and `refused`, once. `seen`: bytes that were read and not used up. */
export interface InspectionListener {
  /** Bytes are missing, for which it waits; and it waits no more. */
  waits(): void
  waitedFor(): void
  timedOut(): void
  /** The client is gone; `failed`: not by an end of its own, but by a reset. */
  left(failed: boolean): void
  passed(seen: Buffer): void
  refused(seen: Buffer): void
}

const noBytes = Buffer.alloc(0)

/** Takes a connection through a listener's filters, reading what they need; they note in `facts` what they find. */
export function inspectConnection(
  connection: Connection,
  facts: ConnectionFacts,
  { filters, inspectTimeoutMs, continueOnTimeout }: InspectionPlan,
  timers: TimerWheel,
  listener: InspectionListener,
): void {
  let seen: Buffer = noBytes
  let at = 0
  let waits = false
  const stop = (): void => {
    if (!waits) return
    waits = false
    timers.cancel(timeout)
    connection.handler = ignore
    listener.waitedFor()
  }
  /** Whether bytes are missing. */
  const goOn = (): boolean => {
    for (; at < filters.length; at++) {
      const filter = filters[at]!
      const verdict = filter.inspect(seen, facts)
      if (verdict === 'refuse' || (verdict === 'more' && seen.length > filter.maxBytes)) {
        stop()
        listener.refused(seen)
        return false
      }
      if (verdict === 'more') return true
      seen = seen.subarray(verdict)
    }
    stop()
    listener.passed(seen)
    return false
  }
  const onGone = (error: Error | null = null): void => {
    stop()
    listener.left(error !== null)
    listener.refused(noBytes)
  }
  const timeout = new Timeout(() => {
    stop()
    listener.timedOut()
    if (continueOnTimeout) listener.passed(seen)
    else listener.refused(seen)
  })
  if (!goOn()) return
  waits = true
  listener.waits()
  if (inspectTimeoutMs > 0) timers.arm(timeout, inspectTimeoutMs)
  connection.handler = {
    ...ignore,
    onBytes(bytes, start, end) {
      seen = Buffer.concat([seen, bytes.subarray(start, end)])
      goOn()
    },
    onEnd: () => onGone(),
    onClose: onGone,
  }
  connection.startReading(true)
}
