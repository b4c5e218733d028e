import { syntaxError } from './expression-error.ts'
import { unquote } from './string-literal.ts'

export type Token =
  | { type: 'identifier'; text: string; offset: number }
  | { type: 'integer' | 'float'; text: string; offset: number }
  /** `text` is the literal as written, `value` what it stands for. */
  | { type: 'string'; text: string; value: string; offset: number }
  | { type: 'operator'; text: string; offset: number }
  | { type: 'end'; text: ''; offset: number }

/** Longest first, so that `==` is not read as two `=`. */
const OPERATORS = [
  ...['&&', '||', '==', '!=', '<=', '>=', '<<', '>>', '&^', '++', '--', '<-', ':='],
  ...['=', '<', '>', '!', '|', '&', '^', '+', '-', '*', '/', '%', '(', ')', '[', ']', '{', '}', '.', ',', ':', ';'],
]

const SPACE = /[ \t\r\n]+/y
const IDENTIFIER = /[\p{L}_][\p{L}\p{Nd}_]*/uy
const NUMBER = /0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const RAW_STRING = /`[^`]*`/y
const QUOTED_STRING = /"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'/y

/**
 * Splits an expression into tokens by Go's lexical rules (identifiers, literals, operators), which the
 * expression language took over. Throws `invalid_argument` with the position of what it cannot read.
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let offset = 0
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = offset
    return pattern.exec(text)?.[0]
  }
  while (offset < text.length) {
    const space = take(SPACE)
    if (space !== undefined) {
      offset += space.length
      continue
    }
    const token = readToken(text, offset, take)
    tokens.push(token)
    offset += token.text.length
  }
  tokens.push({ type: 'end', text: '', offset })
  return tokens
}

function readToken(text: string, offset: number, take: (pattern: RegExp) => string | undefined): Token {
  const identifier = take(IDENTIFIER)
  if (identifier !== undefined) return { type: 'identifier', text: identifier, offset }
  const number = take(NUMBER)
  if (number !== undefined) return { type: /^0[xX]|^\d+$/.test(number) ? 'integer' : 'float', text: number, offset }
  const literal = take(QUOTED_STRING) ?? take(RAW_STRING)
  if (literal !== undefined) {
    const value = unquote(literal)
    if (value === undefined) throw syntaxError(text, offset, `invalid string literal ${literal.slice(0, 100)}`)
    return { type: 'string', text: literal, value, offset }
  }
  const operator = OPERATORS.find((candidate) => text.startsWith(candidate, offset))
  if (operator !== undefined) return { type: 'operator', text: operator, offset }
  const character = String.fromCodePoint(text.codePointAt(offset) ?? 0)
  if ('"\'`'.includes(character)) throw syntaxError(text, offset, 'string literal not terminated')
  throw syntaxError(text, offset, `illegal character ${JSON.stringify(character)}`)
}
