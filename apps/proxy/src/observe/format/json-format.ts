import { isUtf8 } from 'node:buffer'
import type { FormatContext } from './context.ts'
import { compileValueFormat, textOf } from './text-format.ts'
import { wireText } from './wire-text.ts'

/** Keys of structs come sorted too. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

type Reader = (context: FormatContext) => unknown

/**
 * Compiles a JSON format: an object whose strings are formats. `keepTypes`: a value that is one operator keeps its type
 * (numbers, objects, null); otherwise everything is text. Keys come sorted, as Envoy writes them.
 */
export function compileJsonFormat(
  source: Readonly<Record<string, unknown>>,
  path: string,
  options: { keepTypes: boolean; omitEmpty: boolean },
): (context: FormatContext) => string {
  const read = compileObject(source, path, options)
  return (context) => `${withoutBadBytes(JSON.stringify(read(context), sortedKeys))}\n`
}

/** Writes the bytes of strings that are no UTF-8 as escapes, all of such a string. */
function withoutBadBytes(json: string): string {
  if (!/[\x80-\xff]/.test(json) || isUtf8(Buffer.from(json, 'latin1'))) return json
  return json.replaceAll(/"(?:[^"\\]|\\.)*"/g, (text) =>
    isUtf8(Buffer.from(text, 'latin1'))
      ? text
      : text.replaceAll(/[\x80-\xff]/g, (byte) => `\\u00${byte.charCodeAt(0).toString(16)}`),
  )
}

function compileObject(
  source: Readonly<Record<string, unknown>>,
  path: string,
  options: { keepTypes: boolean; omitEmpty: boolean },
): Reader {
  const fields = Object.keys(source)
    .sort()
    .map((key) => ({ key: wireText(key), read: compileNode(source[key], `${path}.${key}`, options) }))
  return (context) => {
    const object: Record<string, unknown> = {}
    for (const { key, read } of fields) {
      const value = read(context)
      if (options.omitEmpty && (value === null || value === '')) continue
      object[key] = value
    }
    return object
  }
}

function compileNode(node: unknown, path: string, options: { keepTypes: boolean; omitEmpty: boolean }): Reader {
  if (typeof node === 'string') {
    const read = compileValueFormat(node, path, options.omitEmpty ? '' : '-')
    if (options.keepTypes) return read
    return (context) => textOf(read(context), options.omitEmpty ? '' : '-')
  }
  if (Array.isArray(node)) {
    const items = node.map((item, i) => compileNode(item, `${path}[${i}]`, options))
    return (context) => items.map((item) => item(context))
  }
  if (typeof node === 'object' && node !== null) return compileObject(Object.fromEntries(Object.entries(node)), path, options)
  return () => node
}
