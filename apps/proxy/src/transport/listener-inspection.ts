import type { Socket } from 'node:net'
import type { CompiledListenerFilter, ConnectionFacts } from '../filters/listener/filter.ts'

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
  /** The client is gone. */
  left(): void
  passed(seen: Buffer): void
  refused(seen: Buffer): void
}

const noBytes = Buffer.alloc(0)

/** Takes a connection through a listener's filters, reading what they need; they note in `facts` what they find. */
export function inspectConnection(
  socket: Socket,
  facts: ConnectionFacts,
  { filters, inspectTimeoutMs, continueOnTimeout }: InspectionPlan,
  listener: InspectionListener,
): void {
  let seen: Buffer = noBytes
  let at = 0
  let timer: NodeJS.Timeout | null = null
  const stop = (): void => {
    if (timer === null) return
    clearTimeout(timer)
    listener.waitedFor()
    socket.removeListener('data', onData)
    socket.removeListener('end', onGone)
    socket.removeListener('close', onGone)
    socket.removeListener('error', ignoreError)
    socket.pause()
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
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    goOn()
  }
  const onGone = (): void => {
    stop()
    listener.left()
    listener.refused(noBytes)
  }
  const onTimeout = (): void => {
    stop()
    listener.timedOut()
    if (continueOnTimeout) listener.passed(seen)
    else listener.refused(seen)
  }
  if (!goOn()) return
  listener.waits()
  // Node takes a timer of 2^31 ms for one of none.
  timer = setTimeout(onTimeout, inspectTimeoutMs > 0 ? inspectTimeoutMs : 2 ** 31 - 1)
  socket.on('data', onData)
  socket.on('end', onGone)
  socket.on('close', onGone)
  socket.on('error', ignoreError)
  socket.resume()
}

function ignoreError(): void {}
