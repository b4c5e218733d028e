import type { Duration } from '@weft/contracts/google/protobuf/duration'

/** A protobuf duration in milliseconds, or `otherwise` where there is none. */
export function durationMs(duration: Duration | undefined, otherwise: number): number {
  return duration === undefined ? otherwise : Number(duration.seconds) * 1000 + duration.nanos / 1e6
}

/** The longest wait that a timer can be set for. */
export const longestTimerMs = 0x7fff_ffff
