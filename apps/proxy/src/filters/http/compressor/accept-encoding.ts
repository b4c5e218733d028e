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

/** Chooses among the offered encodings by the qualities of `Accept-Encoding` (RFC 9110 section 12.5.3). */
export function chooseEncoding(header: string | null, offered: readonly OfferedEncoding[]): EncodingChoice {
  if (header === null) return { encoding: 'identity', reason: 'no-header' }
  const accepted = header
    .split(',')
    .map(parseElement)
    .filter((one) => one.encoding !== '')
  if (accepted.length === 0) return { encoding: 'identity', reason: 'not-valid' }
  const named = new Map(accepted.map(({ encoding, quality }) => [encoding, quality]))
  const wildcard = named.get('*') ?? 0
  let best: { encoding: string; quality: number; first: boolean; explicit: boolean } | null = null
  for (const { encoding, first } of offered) {
    const explicit = named.get(encoding)
    const quality = explicit ?? wildcard
    if (quality <= 0) continue
    const better =
      best === null ||
      quality > best.quality ||
      (quality === best.quality && first && !best.first) ||
      (quality === best.quality && first === best.first && earlier(accepted, encoding, best.encoding))
    if (better) best = { encoding, quality, first, explicit: explicit !== undefined }
  }
  const identity = named.get('identity') ?? 0
  if (best === null) return { encoding: 'identity', reason: identity > 0 ? 'identity' : 'not-valid' }
  if (identity > best.quality) return { encoding: 'identity', reason: 'identity' }
  if (identity === best.quality && earlier(accepted, 'identity', best.encoding))
    return { encoding: 'identity', reason: 'identity' }
  return { encoding: best.encoding, reason: best.explicit ? 'explicit' : 'wildcard' }
}

interface Accepted {
  encoding: string
  quality: number
}

function earlier(accepted: readonly Accepted[], one: string, other: string): boolean {
  const at = (name: string) => accepted.findIndex(({ encoding }) => encoding === name)
  return at(one) >= 0 && (at(other) < 0 || at(one) < at(other))
}

function parseElement(text: string): Accepted {
  const [name = '', ...parameters] = text.split(';').map((part) => part.trim())
  let quality = 1
  for (const parameter of parameters) {
    const value = /^q\s*=\s*(.*)$/i.exec(parameter)?.[1]
    if (value !== undefined) quality = /^(?:0(?:\.\d*)?|1(?:\.0*)?|\.\d+)$/.test(value) ? Number(value) : 0
  }
  return { encoding: name.toLowerCase(), quality }
}
