const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  '\\': 92,
  "'": 39,
  '"': 34,
}

const ESCAPE = /\\(?:([abfnrtv\\'"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/y

/**
 * What a Go string literal (`"…"`, `'…'` or `` `…` ``) stands for; undefined where an escape is not one of
 * Go's. Octal and hexadecimal escapes are bytes of UTF-8; bytes that form no UTF-8 become U+FFFD.
 */
export function unquote(literal: string): string | undefined {
  const quote = literal[0]
  const body = literal.slice(1, -1)
  if (quote === '`') return body.replaceAll('\r', '')
  if (!body.includes('\\')) return body
  const parts: Buffer[] = []
  let offset = 0
  while (offset < body.length) {
    const backslash = body.indexOf('\\', offset)
    if (backslash !== offset) {
      const end = backslash < 0 ? body.length : backslash
      parts.push(Buffer.from(body.slice(offset, end)))
      offset = end
      continue
    }
    ESCAPE.lastIndex = offset
    const match = ESCAPE.exec(body)
    const bytes = match === null ? undefined : escapeBytes(match, quote)
    if (bytes === undefined) return undefined
    parts.push(bytes)
    offset = ESCAPE.lastIndex
  }
  return Buffer.concat(parts).toString('utf8')
}

function escapeBytes(match: RegExpExecArray, quote: string | undefined): Buffer | undefined {
  const [, simple, octal, hex, short, long] = match
  if (simple !== undefined) {
    const wrongQuote = (simple === '"' && quote === "'") || (simple === "'" && quote === '"')
    return wrongQuote ? undefined : Buffer.of(SIMPLE_ESCAPES[simple] ?? 0)
  }
  if (octal !== undefined) {
    const value = Number.parseInt(octal, 8)
    return value > 255 ? undefined : Buffer.of(value)
  }
  if (hex !== undefined) return Buffer.of(Number.parseInt(hex, 16))
  const code = Number.parseInt(short ?? long ?? '', 16)
  const isSurrogate = code >= 0xd800 && code <= 0xdfff
  return code > 0x10ffff || isSurrogate ? undefined : Buffer.from(String.fromCodePoint(code))
}
