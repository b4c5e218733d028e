/** What to do about the request's path before routes see it. */
export interface PathRules {
  normalize: boolean
  mergeSlashes: boolean
  escapedSlashes: 'keep' | 'reject' | 'redirect' | 'forward'
  /** Whether dot segments with parameters (`/..;x/`) are dot segments, as some servers take them. */
  readonly dotParameters: boolean
}

export type NormalizedPath =
  | { type: 'path'; path: string }
  | { type: 'reject'; path: string }
  | { type: 'redirect'; path: string }

const plain = /^\/(?:[^%/\\."<>^`{|}\x80-\xff]|\/(?![/.])|\.(?!\.?(?:[/;]|$)))*$/
const dotsWithParameters = /(?<=\/\.\.?);[^/]*/g
/** Not to stand in a path (RFC 3986 section 3.3). */
const unsafe = /["<>^`{|}\x80-\xff]/g

/**
 * Normalises as Envoy does: `%2F`, `%5C` as told, dot segments removed and unreserved escapes decoded (RFC 3986 section
 * 6.2.2, and `\` taken for `/`, as browsers do), repeated slashes merged. The query stays as it is.
 */
export function normalizePath(full: string, rules: PathRules): NormalizedPath {
  const queryAt = full.search(/[?#]/)
  const path = queryAt < 0 ? full : full.slice(0, queryAt)
  const rest = queryAt < 0 ? '' : full.slice(queryAt)
  let result = path
  let redirect = false
  if (rules.escapedSlashes !== 'keep' && /%2f|%5c/i.test(result)) {
    result = result.replaceAll(/%2f/gi, '/').replaceAll(/%5c/gi, '\\')
    if (rules.escapedSlashes === 'reject') return { type: 'reject', path: result + rest }
    redirect = rules.escapedSlashes === 'redirect'
  }
  if (rules.normalize && !plain.test(result)) {
    const canonical = canonicalPath(rules.dotParameters ? result.replaceAll(dotsWithParameters, '') : result)
    if (canonical === null) return { type: 'reject', path: result + rest }
    result = canonical
  }
  // Of nothing but slashes the first and the last stay.
  if (rules.mergeSlashes && result.includes('//')) result = /^\/+$/.test(result) ? '//' : result.replaceAll(/\/{2,}/g, '/')
  return redirect ? { type: 'redirect', path: result + rest } : { type: 'path', path: result + rest }
}

/** Dot segments out, unreserved bytes decoded and unsafe ones escaped, backslashes turned; null: an escape that stands for nothing, or NUL. */
function canonicalPath(path: string): string | null {
  const safe = path.replaceAll(unsafe, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  const decoded = safe.replaceAll(/%([0-9a-fA-F]{2})/g, (sequence, hex: string) => {
    const code = Number.parseInt(hex, 16)
    const char = String.fromCharCode(code)
    return /[A-Za-z0-9._~-]/.test(char) ? char : sequence
  })
  if (/%00/.test(decoded)) return null
  const turned = decoded.replaceAll('\\', '/')
  if (!turned.startsWith('/')) return null
  const out: string[] = []
  const segments = turned.split('/').slice(1)
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1
    if (segment === '.') {
      if (last) out.push('')
    } else if (segment === '..') {
      out.pop()
      if (last) out.push('')
    } else out.push(segment)
  })
  return `/${out.join('/')}`
}
