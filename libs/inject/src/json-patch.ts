import { isDeepStrictEqual } from 'node:util'
import { isRecord } from '@weft/config/document'

/** One operation of RFC 6902. */
export type PatchOperation = { op: 'add' | 'replace'; path: string; value: unknown } | { op: 'remove'; path: string }

/** The operations (RFC 6902) that make `to` of `from`. Lists that differ are replaced as a whole; a null is as good as absent. */
export function jsonPatch(from: unknown, to: unknown): PatchOperation[] {
  const operations: PatchOperation[] = []
  compare(from, to, '', operations)
  return operations
}

function compare(from: unknown, to: unknown, path: string, operations: PatchOperation[]): void {
  if (!isRecord(from) || !isRecord(to)) {
    if (!isDeepStrictEqual(from, to)) operations.push({ op: 'replace', path, value: to })
    return
  }
  for (const [key, value] of Object.entries(from)) {
    if (value !== null && (to[key] === undefined || to[key] === null)) operations.push({ op: 'remove', path: at(path, key) })
  }
  for (const [key, value] of Object.entries(to)) {
    if (value === undefined || value === null) continue
    const before = Object.hasOwn(from, key) ? from[key] : undefined
    if (before === undefined || before === null) operations.push({ op: 'add', path: at(path, key), value })
    else compare(before, value, at(path, key), operations)
  }
}

/** A JSON pointer (RFC 6901) one step further. */
function at(path: string, key: string): string {
  return `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}
