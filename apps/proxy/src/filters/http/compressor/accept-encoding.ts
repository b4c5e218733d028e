/** What became of `Accept-Encoding`: the encoding to use, and why. */
export interface EncodingChoice {
  readonly encoding: string
  readonly reason: 'no-header' | 'identity' | 'wildcard' | 'explicit' | 'not-valid'
}

/** An encoding that can be given; `first` wins over others of the same quality. */
export interface OfferedEncoding {
  readonly encoding: string
  readonly first: boolean
}

interface Accepted {
  readonly encoding: string
  readonly quality: number
}

/**
 * Chooses among the offered encodings, given in their order of preference, by the qualities of `Accept-Encoding`
 * (RFC 9110 section 12.5.3), with Envoy's readings: names as they are written, an element whose quality can't be read
 * passed over, and the first of equals.
 */
export function chooseEncoding(header: string | null, offered: readonly OfferedEncoding[]): EncodingChoice {
  if (header === null) return { encoding: 'identity', reason: 'no-header' }
  if (offered.length === 0) return { encoding: 'identity', reason: 'not-valid' }
  const accepted = header
    .split(',')
    .map(parseElement)
    .filter((one) => one !== null)
  const refused = new Set(accepted.filter(({ quality }) => quality === 0).map(({ encoding }) => encoding))
  const able = offered.filter(({ encoding }) => !refused.has(encoding))
  let best: Accepted & { first: boolean } = { encoding: 'identity', quality: 0, first: false }
  for (const { encoding, quality } of accepted) {
    const offer = able.find((one) => one.encoding === encoding)
    const known = offer !== undefined || encoding === 'identity' || encoding === '*'
    const first = offer?.first ?? false
    if (known && (quality > best.quality || (quality === best.quality && quality > 0 && first && !best.first)))
      best = { encoding, quality, first }
  }
  if (best.quality === 0 || (best.encoding === '*' && able.length === 0)) return { encoding: 'identity', reason: 'not-valid' }
  if (best.encoding === 'identity') return { encoding: 'identity', reason: 'identity' }
  if (best.encoding === '*') return { encoding: able[0]!.encoding, reason: 'wildcard' }
  return { encoding: best.encoding, reason: 'explicit' }
}

/** null: its quality can't be read. */
function parseElement(text: string): Accepted | null {
  const semicolon = text.indexOf(';')
  if (semicolon < 0) return { encoding: text.trim(), quality: 1 }
  const encoding = text.slice(0, semicolon).trim()
  const [name = '', ...rest] = text.slice(semicolon + 1).split('=')
  if (rest.length === 0 || name.trim().toLowerCase() !== 'q') return { encoding, quality: 1 }
  const value = rest.join('=').trim()
  return /^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(value) ? { encoding, quality: Number(value) } : null
}
