/**
 * Node's own conversions for one-byte strings, which its public `toString` and `write` call after looking the encoding's
 * name up. On the request path the lookup is a measurable share of the call.
 */
declare global {
  interface Buffer {
    latin1Slice(start?: number, end?: number): string
    latin1Write(text: string, offset?: number, length?: number): number
  }
}

export {}
