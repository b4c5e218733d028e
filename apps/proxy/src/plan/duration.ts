import type { Duration } from '@weft/contracts/google/protobuf/duration'

/** Milliseconds of a protobuf duration, fractions kept; `fallback` when it is not given. */
export function durationMs(duration: Duration | undefined, fallback: number): number {
  return duration === undefined ? fallback : duration.seconds * 1000 + duration.nanos / 1e6
}
