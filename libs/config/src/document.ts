import {
  isCollection,
  isMap,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  parseDocument,
  type Document as YamlDocument,
} from 'yaml'
import { parsePath, type Segment } from './path.ts'
import type { Problem } from './problem.ts'

/** One YAML or JSON document, and where each part of it stands in its file. */
export interface Document {
  readonly apiVersion: string
  readonly kind: string
  /** The whole document as plain values. */
  readonly value: Readonly<Record<string, unknown>>
  /** The file, as it was named to the reader; `<request>` for what came over HTTP. */
  readonly file: string
  /** The line (from 1) where the document starts. */
  readonly line: number
  /** The text of the document alone. */
  readonly text: string
  /** Where that text stands in its file, in UTF-16 units. */
  readonly range: readonly [start: number, end: number]
  /**
   * The line (from 1) of a path such as `spec.http[0].route[1].weight`; where the path does not exist, of its nearest
   * parent that does.
   */
  lineOf(path: string): number
}

export interface Documents {
  documents: Document[]
  /** Syntax errors, and documents that are no objects of any kind. */
  problems: Problem[]
}

/** Longest text that is read at all. */
export const maxTextBytes = 16 << 20
/** An alias may multiply what it names only so far. */
const maxAliases = 1_000

/**
 * Reads all documents of a YAML (or JSON) text. A broken document is told with its line and left out; the others are
 * given. `kind: List` is taken apart into its items. Empty documents are nothing.
 */
export function readDocuments(text: string, file: string): Documents {
  const found: Documents = { documents: [], problems: [] }
  if (text.length > maxTextBytes) {
    found.problems.push({ severity: 'error', message: 'file is larger than 16 MiB', file, line: 1, hint: 'split it' })
    return found
  }
  const lines = new LineCounter()
  try {
    const parsed = parseAllDocuments(text, { lineCounter: lines, ...yamlOptions })
    for (const yaml of Array.isArray(parsed) ? parsed : []) readOne(yaml, { text, file, lines }, found)
  } catch (thrown) {
    // Nested deeper than the parser's stack.
    const message = `broken YAML: ${firstLine(thrown instanceof Error ? thrown.message : String(thrown))}`
    found.problems.push({ severity: 'error', message, file, line: 1 })
  }
  return found
}

const yamlOptions = { prettyErrors: false, merge: true } as const

interface Source {
  text: string
  file: string
  lines: LineCounter
}

function readOne(yaml: YamlDocument.Parsed, source: Source, found: Documents): void {
  const { file, lines } = source
  const error = yaml.errors[0]
  if (error !== undefined) {
    const line = lines.linePos(error.pos[0]).line
    found.problems.push({
      severity: 'error',
      message: `broken YAML: ${firstLine(error.message)}`,
      file,
      line,
      hint: 'this document is left out; mend it at this line',
    })
    return
  }
  const contents = yaml.contents
  if (contents === null) return
  const [marked, , end] = yaml.range
  // The document's own text begins after its marker line, if it has one.
  const start = marked + (/^\s*---[ \t]*(?:#[^\n]*)?\n/.exec(source.text.slice(marked, end))?.[0].length ?? 0)
  const at = (offset: number): number => lines.linePos(Math.min(offset, source.text.length)).line
  const line = at(contents.range?.[0] ?? start)
  let value: unknown
  try {
    value = yaml.toJS({ maxAliasCount: maxAliases })
  } catch (thrown) {
    const message = `broken YAML: ${firstLine(thrown instanceof Error ? thrown.message : String(thrown))}`
    found.problems.push({ severity: 'error', message, file, line })
    return
  }
  if (value === null) return
  const range: readonly [number, number] = [start, end]
  const text = source.text.slice(start, end)
  const firstTextLine = at(start)
  // Lines are seldom asked for: the tree is not kept for them, but made again from the text.
  const lineOf = (path: readonly Segment[]): number => firstTextLine + lineWithin(text, path) - 1
  accept(value, { file, line, text, range, lineOf }, [], found)
}

/** The tree of the document that a line was asked of last: questions about one come together. */
let lastTree: { text: string; contents: Node | null; lines: LineCounter } | undefined

function lineWithin(text: string, path: readonly Segment[]): number {
  if (lastTree?.text !== text) {
    const lines = new LineCounter()
    lastTree = { text, contents: parseDocument(text, { lineCounter: lines, ...yamlOptions }).contents, lines }
  }
  const { contents, lines } = lastTree
  const offset = contents === null ? undefined : offsetOf(contents, path)
  return offset === undefined ? 1 : lines.linePos(Math.min(offset, text.length)).line
}

interface Place {
  file: string
  line: number
  text: string
  range: readonly [number, number]
  lineOf(path: readonly Segment[]): number
}

/** Takes one value as an object, or as a List of them. */
function accept(value: unknown, place: Place, base: readonly Segment[], found: Documents): void {
  const { file } = place
  const line = base.length === 0 ? place.line : place.lineOf(base)
  if (!isRecord(value)) {
    const message = `this document is ${describeType(value)}, not an object with apiVersion, kind and metadata`
    found.problems.push({ severity: 'error', message, file, line })
    return
  }
  const { apiVersion, kind } = value
  if (apiVersion === undefined && kind === undefined) {
    const message = 'no apiVersion and no kind: this is no object of a mesh, and is passed over'
    found.problems.push({ severity: 'notice', message, file, line })
    return
  }
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || apiVersion === '' || kind === '') {
    const missing = typeof apiVersion !== 'string' || apiVersion === '' ? 'apiVersion' : 'kind'
    found.problems.push({ severity: 'error', message: `${missing} is missing or no string`, file, line, path: missing })
    return
  }
  if (kind === 'List' && apiVersion === 'v1') {
    const items = Array.isArray(value['items']) ? value['items'] : []
    for (const [index, item] of items.entries()) {
      // An item is written back as JSON, which is YAML: its own text is indented.
      accept(item, { ...place, text: `${JSON.stringify(item, null, 2)}\n` }, [...base, 'items', index], found)
    }
    return
  }
  found.documents.push({
    apiVersion,
    kind,
    value,
    file,
    line,
    text: place.text,
    range: place.range,
    lineOf: (path) => place.lineOf([...base, ...parsePath(path)]),
  })
}

/** Where the deepest existing part of a path starts: of a field, its key. */
function offsetOf(root: Node, path: readonly Segment[]): number | undefined {
  let node: unknown = root
  let offset = root.range?.[0]
  for (const segment of path) {
    if (!isCollection(node)) break
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isNode(key) && 'value' in key ? key.value : key) === String(segment))
      if (pair === undefined) break
      offset = (isNode(pair.key) ? pair.key.range?.[0] : undefined) ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      const item = node.items[Number(segment)]
      if (item === undefined) break
      offset = (isNode(item) ? item.range?.[0] : undefined) ?? offset
      node = item
    }
  }
  return offset
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'range' in value
}

/** A plain object, as YAML and JSON give them. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `a string`, `a list`, …: how a value is named to people. */
export function describeType(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  return `a ${typeof value}`
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}
