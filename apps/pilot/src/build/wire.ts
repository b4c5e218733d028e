import type { BinaryWriter } from '@bufbuild/protobuf/wire'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { Duration } from '@weft/contracts/google/protobuf/duration'

/** What ts-proto gives for a message type, as far as encoding needs it. */
export interface MessageType<T> {
  encode(message: T): BinaryWriter
}

/** A message in an `Any`; `typeName` is its full protobuf name. */
export function pack<T>(typeName: string, type: MessageType<T>, message: T): Any {
  return { typeUrl: `type.googleapis.com/${typeName}`, value: Buffer.from(type.encode(message).finish()) }
}

export function milliseconds(ms: number): Duration {
  const whole = Math.floor(ms / 1000)
  return { seconds: whole, nanos: Math.round((ms - whole * 1000) * 1e6) }
}

/** Words and numbers that decide what a resource looks like, as one cache key. */
export function keyOf(...parts: readonly (string | number | boolean | undefined)[]): string {
  return parts.join('\u0000')
}
