import { copyBytes } from '@weft/http/header-table'
import { putLatin1 } from '@weft/http/latin1'
import { invalid } from '../../plan/problems.ts'
import type { FormatContext } from './context.ts'
import type { FormatValue, HeaderSource, Operator } from './operator.ts'
import { compileOperator } from './operators.ts'
import { wireText } from './wire-text.ts'

export interface TextFormat {
  (context: FormatContext): string
  /** The same straight into a buffer (a byte a character): gives the position behind, -1 where there is no room. */
  readonly write?: (context: FormatContext, out: Buffer, at: number) => number
}

/** A format as its pieces: literals and operators. */
function parseFormat(text: string, path: string): (string | Operator)[] {
  const pieces: (string | Operator)[] = []
  let literal = ''
  let at = 0
  while (at < text.length) {
    const percent = text.indexOf('%', at)
    if (percent < 0) {
      literal += text.slice(at)
      break
    }
    literal += text.slice(at, percent)
    if (text[percent + 1] === '%') {
      literal += '%'
      at = percent + 2
      continue
    }
    const end = operatorEnd(text, percent + 1)
    if (end < 0) throw invalid(path, `a format operator begins at '${text.slice(percent, percent + 20)}' and does not end`)
    if (literal !== '') pieces.push(wireText(literal))
    literal = ''
    pieces.push(compileOperator(text.slice(percent + 1, end), path))
    at = end + 1
  }
  if (literal !== '') pieces.push(wireText(literal))
  return pieces
}

/** Where the operator's closing percent stands: a percent inside its parentheses belongs to the argument. */
function operatorEnd(text: string, from: number): number {
  const paren = text.indexOf('(', from)
  const percent = text.indexOf('%', from)
  if (percent < 0 || paren < 0 || paren > percent) return percent
  const close = text.indexOf(')', paren)
  return close < 0 ? -1 : text.indexOf('%', close)
}

/** A value as text. */
export function textOf(value: FormatValue, absent: string): string {
  if (value === null) return absent
  if (typeof value === 'string') return value
  return typeof value === 'object' ? structJson(value) : String(value)
}

function textBy(operator: Operator, context: FormatContext, absent: string): string {
  return cutText(operator, operator(context), absent)
}

function cutText({ textLimit }: Operator, value: FormatValue, absent: string): string {
  const text = textOf(value, absent)
  return textLimit === undefined ? text : text.slice(0, textLimit)
}

/** An object as protobuf's structs are written: keys sorted, numbers in their shorter form (`4e+09`). */
function structJson(value: unknown): string {
  if (typeof value === 'number') return shortNumber(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(structJson).join(',')}]`
  if ('toJSON' in value) return JSON.stringify(value)
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${structJson(field)}`).join(',')}}`
}

function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  const fixed = String(value)
  const scientific = value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  return scientific.length < fixed.length ? scientific : fixed
}

/** Compiles a text format; `absent` stands where an operator has no value. */
export function compileTextFormat(text: string, path: string, absent = '-'): TextFormat {
  const pieces = parseFormat(text, path)
  if (pieces.length === 1) {
    const only = pieces[0]!
    return typeof only === 'string' ? () => only : (context) => textBy(only, context, absent)
  }
  const format = (context: FormatContext): string => {
    let line = ''
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i]!
      line += typeof piece === 'string' ? piece : textBy(piece, context, absent)
    }
    return line
  }
  return Object.assign(format, { write: compileWriter(pieces, absent) })
}

/** An operator with the literal before it; at the end of a format there may be a literal alone. */
interface Piece {
  readonly literal: Buffer
  readonly operator: Operator | null
}

function compileWriter(parts: readonly (string | Operator)[], absent: string): TextFormat['write'] {
  const pieces: Piece[] = []
  let literal = ''
  for (const part of parts) {
    if (typeof part === 'string') {
      literal = part
      continue
    }
    pieces.push({ literal: Buffer.from(literal, 'latin1'), operator: part })
    literal = ''
  }
  if (literal !== '') pieces.push({ literal: Buffer.from(literal, 'latin1'), operator: null })
  const ofAbsent = Buffer.from(absent, 'latin1')
  return (context, out, start) => {
    let at = start
    for (let i = 0; i < pieces.length; i++) {
      const { literal, operator } = pieces[i]!
      if (at + literal.length + mostDigits > out.length) return -1
      at = copyBytes(literal, 0, literal.length, out, at)
      if (operator === null) break
      const { header } = operator
      if (header !== undefined) {
        at = putHeader(header, context, ofAbsent, out, at)
        if (at < 0) return -1
        continue
      }
      const value = operator(context)
      if (typeof value === 'number' && value >= 0 && value <= 0x7fffffff && Number.isInteger(value)) {
        at = putInteger(value, out, at)
        continue
      }
      const text = cutText(operator, value, absent)
      if (at + text.length > out.length) return -1
      at = putLatin1(text, out, at)
    }
    return at
  }
}

/** Copies a header's first value as it stands in its table; -1 where there is no room. */
function putHeader(
  { table: find, name, alternative }: HeaderSource,
  context: FormatContext,
  absent: Buffer,
  out: Buffer,
  at: number,
) {
  const table = find(context)
  let index = -1
  if (table !== null) {
    index = table.find(name)
    if (index < 0 && alternative !== null) index = table.find(alternative)
  }
  const bytes = index < 0 ? absent : table!.buffer
  const from = index < 0 ? 0 : table!.ranges[index * 4 + 2]!
  const to = index < 0 ? absent.length : table!.ranges[index * 4 + 3]!
  return at + to - from > out.length ? -1 : copyBytes(bytes, from, to, out, at)
}

/** Of an integer below 2^31. */
const mostDigits = 10

function putInteger(value: number, out: Buffer, at: number): number {
  let end = at + 1
  for (let rest = value; rest >= 10; rest = (rest / 10) | 0) end++
  let rest = value
  for (let i = end - 1; i >= at; i--) {
    const above = (rest / 10) | 0
    out[i] = 48 + rest - above * 10
    rest = above
  }
  return end
}

/** The value that a format made of one operator gives, else the text. */
export function compileValueFormat(text: string, path: string, absent = '-'): (context: FormatContext) => FormatValue {
  const pieces = parseFormat(text, path)
  const only = pieces[0]
  if (pieces.length === 1 && typeof only === 'function') return only
  return compileTextFormat(text, path, absent)
}
