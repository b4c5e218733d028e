/**
 * Paths into a document: `spec.http[0].match[1].headers["x-user.id"].exact`. A key that is not a plain word stands in
 * brackets and quotes.
 */
export type Segment = string | number

const plain = /^[A-Za-z_@$][\w-]*$/

/** The path of a field or an element of what stands at `base`. */
export function joinPath(base: string, segment: Segment): string {
  if (typeof segment === 'number') return `${base}[${segment}]`
  if (!plain.test(segment)) return `${base}[${JSON.stringify(segment)}]`
  return base === '' ? segment : `${base}.${segment}`
}

/** A path's parts; what cannot be read as one ends it. */
export function parsePath(path: string): Segment[] {
  const segments: Segment[] = []
  const part = /\.?([A-Za-z_@$][\w-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y
  while (part.lastIndex < path.length) {
    const match = part.exec(path)
    if (match === null) break
    if (match[2] !== undefined) segments.push(Number(match[2]))
    else segments.push(match[3] === undefined ? match[1]! : String(JSON.parse(match[3])))
  }
  return segments
}
