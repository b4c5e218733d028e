import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import { WeftError } from '@weft/service/errors'
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'

/** One step into a message: a field's name, a map's key or an item's index. */
export type PathSegment = string | number

/** A configuration text as JSON, with the line of every value. */
export interface ConfigDocument {
  /** The file it was read from; undefined for text given on the command line. */
  file: string | undefined
  json: JsonObject
  /** The line of the value at a path, or of the nearest value above it that stands in the text. */
  lineOf(path: readonly PathSegment[]): number | undefined
}

/** How deep a document may nest: far more than any configuration, far less than the stack. */
const deepest = 100

/** How many values all aliases together may stand for: a small text must not become a huge configuration. */
const mostAliased = 100_000

/**
 * Reads YAML or JSON (which is YAML) as Envoy does: plain scalars are booleans in YAML 1.1's words (`y`, `on`, `No` …),
 * then integers (decimal, 0x, 0 octal), else strings; a decimal fraction stays text and is read by its field's type.
 * Throws WeftError with file and line for text that is neither.
 */
export function parseConfigDocument(text: string, file?: string): ConfigDocument {
  const json = parseJson(text)
  if (json === undefined) return parseYaml(text, file)
  let lines: ConfigDocument | undefined
  const lineOf = (path: readonly PathSegment[]): number | undefined => {
    lines ??= parseYaml(text, file)
    return lines.lineOf(path)
  }
  return { file, json, lineOf }
}

/**
 * Text that is JSON and nothing else, a hundred times faster than as YAML; undefined where it is not, and where it is to be refused,
 * which is told by who reads YAML.
 */
function parseJson(text: string): JsonObject | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  let members = 0
  function read(this: unknown, key: string, value: JsonValue, context: { source?: string }): JsonValue {
    if (key !== '' && !Array.isArray(this)) members++
    return typeof value === 'number' && context.source !== undefined ? scalar(context.source, true) : value
  }
  let json: JsonValue
  try {
    json = JSON.parse(text, read as (key: string, value: JsonValue) => JsonValue) as JsonValue
  } catch {
    return undefined
  }
  // A key that stands twice in a map would have lost its first value.
  if (typeof json !== 'object' || json === null || Array.isArray(json) || members !== countKeys(text)) return undefined
  return nestsDeeper(json, deepest) ? undefined : json
}

/** The keys in a text of JSON: strings before a colon. An empty one is not counted. */
function countKeys(text: string): number {
  let keys = 0
  for (let start = text.indexOf('"'); start >= 0; ) {
    let end = text.indexOf('"', start + 1)
    while (isEscaped(text, end)) end = text.indexOf('"', end + 1)
    let next = end + 1
    while (/\s/.test(text.charAt(next))) next++
    if (text.charAt(next) === ':' && end > start + 1) keys++
    start = text.indexOf('"', next)
  }
  return keys
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charAt(at - 1 - backslashes) === '\\') backslashes++
  return backslashes % 2 === 1
}

function nestsDeeper(value: JsonValue, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((item) => item !== undefined && nestsDeeper(item, levels - 1))
}

function parseYaml(text: string, file: string | undefined): ConfigDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, keepSourceTokens: false, prettyErrors: false })
  const fail = (message: string, offset: number | undefined): never => {
    const line = offset === undefined ? undefined : lines.linePos(offset).line
    throw new WeftError('invalid_argument', message, {
      where: { ...(file === undefined ? {} : { file }), ...(line === undefined ? {} : { line }) },
    })
  }
  const first = document.errors[0]
  if (first !== undefined) fail(`not readable as YAML: ${first.message}`, first.pos[0])

  let aliased = 0
  const toJson = (node: unknown, depth: number, inAlias: boolean): JsonValue => {
    if (node === null || node === undefined) return null
    if (inAlias && ++aliased > mostAliased) fail(`aliases stand for more than ${mostAliased} values`, undefined)
    if (isAlias(node)) {
      const target = node.resolve(document)
      if (target === undefined) fail(`no anchor &${node.source}`, node.range?.[0])
      return toJson(target, depth + 1, true)
    }
    const offset = isScalar(node) || isMap(node) || isSeq(node) ? node.range?.[0] : undefined
    if (depth > deepest) fail(`nested deeper than ${deepest} levels`, offset)
    if (isScalar(node)) return scalar(String(node.value ?? ''), node.type === 'PLAIN' && node.tag === undefined)
    if (isSeq(node)) return node.items.map((item) => toJson(item, depth + 1, inAlias))
    if (!isMap(node)) return fail('a value of an unknown kind', offset)
    const object: JsonObject = {}
    for (const pair of node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value ?? '') : fail('a key that is not text', offset)
      Object.defineProperty(object, key, {
        value: toJson(pair.value, depth + 1, inAlias),
        enumerable: true,
        writable: true,
        configurable: true,
      })
    }
    return object
  }

  const json = toJson(document.contents, 0, false) ?? {}
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return fail('a configuration is a map of fields at its top', document.contents?.range?.[0])

  return {
    file,
    json,
    lineOf(path) {
      let node: unknown = document.contents
      let offset: number | undefined
      for (const segment of path) {
        if (isAlias(node)) node = node.resolve(document)
        if (isSeq(node) && typeof segment === 'number') {
          node = node.items[segment]
          offset = rangeOf(node) ?? offset
        } else if (isMap(node)) {
          const pair = node.items.find((item) => isScalar(item.key) && sameField(String(item.key.value), String(segment)))
          if (pair === undefined) break
          offset = rangeOf(pair.key) ?? offset
          node = pair.value
        } else break
      }
      offset ??= rangeOf(document.contents)
      return offset === undefined ? undefined : lines.linePos(offset).line
    },
  }
}

function rangeOf(node: unknown): number | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? (node as Node).range?.[0] : undefined
}

/** A field may be written `connect_timeout` or `connectTimeout`. */
function sameField(written: string, name: string): boolean {
  return written === name || (/[A-Z]/.test(written) && written.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) === name)
}

function scalar(text: string, plain: boolean): JsonValue {
  if (!plain) return text
  if (text === '' || text === '~' || text === 'null' || text === 'Null' || text === 'NULL') return null
  if (/^(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE)$/.test(text)) return true
  if (/^(?:n|N|no|No|NO|off|Off|OFF|false|False|FALSE)$/.test(text)) return false
  const integer = integerOf(text)
  return integer !== undefined && Number.isSafeInteger(integer) ? integer : text
}

function integerOf(text: string): number | undefined {
  if (/^[-+]?0[0-7]+$/.test(text)) return sign(text) * Number.parseInt(text.replace(/^[-+]/, ''), 8)
  if (/^[-+]?0x[0-9a-fA-F]+$/.test(text)) return sign(text) * Number.parseInt(text.replace(/^[-+]/, ''), 16)
  return /^[-+]?\d+$/.test(text) ? Number(text) : undefined
}

function sign(text: string): number {
  return text.startsWith('-') ? -1 : 1
}
