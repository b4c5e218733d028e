/** One element of DER (X.690): its tag byte, what is in it, and all of its bytes. */
export interface DerElement {
  readonly tag: number
  readonly content: Buffer
  readonly whole: Buffer
}

/** Reads the element at the beginning of `bytes`; null: there is none that is whole, or its tag has more than one byte. */
export function readElement(bytes: Buffer): DerElement | null {
  const tag = bytes[0]
  let length = bytes[1]
  if (tag === undefined || length === undefined || (tag & 0x1f) === 0x1f) return null
  let start = 2
  if (length >= 0x80) {
    const octets = length & 0x7f
    if (octets === 0 || octets > 4 || bytes.length < 2 + octets) return null
    length = bytes.readUIntBE(2, octets)
    start += octets
  }
  const end = start + length
  return end > bytes.length ? null : { tag, content: bytes.subarray(start, end), whole: bytes.subarray(0, end) }
}

/** The elements that stand one behind the other in `content`; what is no whole element at the end is left out. */
export function readElements(content: Buffer): DerElement[] {
  const found: DerElement[] = []
  for (let rest = content; rest.length > 0; ) {
    const next = readElement(rest)
    if (next === null) break
    found.push(next)
    rest = rest.subarray(next.whole.length)
  }
  return found
}

export const derTag = {
  integer: 0x02,
  objectIdentifier: 0x06,
  sequence: 0x30,
  utcTime: 0x17,
  generalizedTime: 0x18,
  /** Context-specific and constructed: `[number]`. */
  context: (number: number) => 0xa0 | number,
} as const

/** An object identifier's dotted form. */
export function objectIdentifier(content: Buffer): string {
  const numbers: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if ((byte & 0x80) !== 0) continue
    if (numbers.length === 0) {
      const first = Math.min(2, Math.floor(value / 40))
      numbers.push(first, value - 40 * first)
    } else numbers.push(value)
    value = 0
  }
  return numbers.join('.')
}

/** A UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5), in milliseconds since 1970; NaN: it is none. */
export function derTime({ tag, content }: DerElement): number {
  const text = content.toString('latin1')
  const digits = tag === derTag.utcTime ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits)
  if (match === null) return Number.NaN
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  return Date.UTC(year, month - 1, day, hour, minute, second)
}
