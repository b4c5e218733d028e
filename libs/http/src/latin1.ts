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

/** The native call costs as much as about so many characters, one by one (measured). */
export const shortText = 16

/** Writes a latin1 string into `out`; gives the position behind. */
export function putLatin1(text: string, out: Buffer, at: number): number {
  const { length } = text
  if (length > shortText) return at + out.latin1Write(text, at)
  for (let i = 0; i < length; i++) out[at++] = text.charCodeAt(i)
  return at
}
