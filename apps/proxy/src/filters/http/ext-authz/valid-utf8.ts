/** A sequence of UTF-8 beyond ASCII, or a byte that belongs to none. */
const sequence =
  /([\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})|[\x80-\xff]/g

/** The bytes of a header's value with `!` for each that is no UTF-8, as Envoy tells them. */
export function validUtf8(latin1: string): string {
  return latin1.replace(sequence, (_, valid: string | undefined) => valid ?? '!')
}
