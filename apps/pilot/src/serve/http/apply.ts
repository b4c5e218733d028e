import { PassThrough, type Readable } from 'node:stream'
import type { ApplyEvent, ApplyResponse } from '@weft/config/pilot-api'
import type { ProxyStatuses } from '../../status/proxy-statuses.ts'

/**
 * The lines that follow an apply: `applied`, then `progress` as proxies acknowledge, each `nack` at once, and `done` when
 * every connected proxy has answered or the time is over.
 */
export function followApply(statuses: ProxyStatuses, applied: ApplyResponse, timeoutMs: number): Readable {
  const lines = new PassThrough()
  const { generation } = applied
  const say = (event: ApplyEvent): void => void lines.write(`${JSON.stringify(event)}\n`)
  let last = ''

  const check = (timedOut: boolean): void => {
    const { settled, refused, waiting } = statuses.progress(generation)
    const total = settled.length + refused.length + waiting.length
    const progress = `${settled.length}/${total}`
    if (progress !== last) say({ type: 'progress', acked: settled.length, total })
    last = progress
    if (waiting.length > 0 && !timedOut) return
    say({ type: 'done', acked: settled.length, total, nacked: refused, waiting })
    lines.end()
  }
  const stopProgress = statuses.onProgress(() => check(false))
  const stopNacks = statuses.onNack((nack, of) => {
    if (of >= generation) say({ type: 'nack', ...nack })
  })
  const timer = setTimeout(() => check(true), timeoutMs)
  lines.once('close', stop)
  lines.once('end', stop)
  function stop(): void {
    clearTimeout(timer)
    stopProgress()
    stopNacks()
  }

  say({ type: 'applied', ...applied })
  // The push of this generation is queued behind us: a proxy that it does not concern is told as unchanged there.
  setImmediate(() => {
    if (!lines.writableEnded) check(false)
  })
  return lines
}
