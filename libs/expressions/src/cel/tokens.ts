import { syntaxError } from '../expression-error.ts'
import { CelUint } from './values.ts'

/** A piece of an expression's text, and where it begins. */
export type Token =
  | { type: 'name'; text: string; at: number }
  | { type: 'literal'; value: bigint | number | string | Uint8Array | CelUint; at: number }
  | { type: 'sign'; text: string; at: number }
  | { type: 'end'; at: number }

const blank = /(?:[\s]|\/\/[^\n]*)*/y
const name = /[A-Za-z_][A-Za-z0-9_]*/y
const number = /0[xX][0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+[uU]?/y
const quoted = /([bB]?[rR]?)(""".*?"""|'''.*?'''|"[^"\n\r]*"|'[^'\n\r]*')/sy
const escaped = /([bB]?)("""(?:\\.|[^\\])*?"""|'''(?:\\.|[^\\])*?'''|"(?:\\[^\n\r]|[^\\"\n\r])*"|'(?:\\[^\n\r]|[^\\'\n\r])*')/sy
const sign = /&&|\|\||[<>=!]=|[-+*/%<>!?:.,()[\]{}]/y

/** Takes an expression apart (CEL's definition, "Syntax"); throws a WeftError with the place of what is no token. */
export function readTokens(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match !== null) at = pattern.lastIndex
    return match
  }
  for (;;) {
    take(blank)
    const start = at
    if (start >= text.length) break
    const string = /^[bB]?[rR]['"]/.test(text.slice(start, start + 3)) ? take(quoted) : take(escaped)
    if (string !== null) {
      const [, prefix = '', literal = ''] = string
      tokens.push({ type: 'literal', value: stringValue(text, start, prefix.toLowerCase(), literal), at: start })
      continue
    }
    const digits = take(number)
    if (digits !== null) {
      tokens.push({ type: 'literal', value: numberValue(text, start, digits[0]), at: start })
      continue
    }
    const word = take(name)
    if (word !== null) tokens.push({ type: 'name', text: word[0], at: start })
    else {
      const mark = take(sign)
      if (mark === null) throw syntaxError(text, start, `unexpected character '${text[start]}'`)
      tokens.push({ type: 'sign', text: mark[0], at: start })
    }
  }
  tokens.push({ type: 'end', at: text.length })
  return tokens
}

/** Whether an int fits is not known here: a sign may stand before it. */
function numberValue(text: string, at: number, digits: string): bigint | number | CelUint {
  if (/[uU]$/.test(digits)) {
    const value = BigInt(digits.slice(0, -1))
    if (value !== BigInt.asUintN(64, value)) throw syntaxError(text, at, 'invalid uint literal')
    return new CelUint(value)
  }
  return /^(?:0[xX][0-9a-fA-F]+|\d+)$/.test(digits) ? BigInt(digits) : Number(digits)
}

function stringValue(text: string, at: number, prefix: string, literal: string): string | Uint8Array {
  const isTriple = literal.length >= 6 && (literal.startsWith('"""') || literal.startsWith("'''"))
  const body = isTriple ? literal.slice(3, -3) : literal.slice(1, -1)
  const isBytes = prefix.startsWith('b')
  if (prefix.endsWith('r')) return isBytes ? Buffer.from(body) : body
  if (!isBytes)
    return body.replaceAll(/\\(?:([0-3][0-7]{2}|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|(.))/gs, character)
  const parts: Uint8Array[] = []
  for (const [, plain, octal, hex, simple] of body.matchAll(/([^\\]+)|\\(?:([0-3][0-7]{2})|[xX]([0-9a-fA-F]{2})|(.))/gs)) {
    if (plain !== undefined) parts.push(Buffer.from(plain))
    else if (octal !== undefined) parts.push(Buffer.of(Number.parseInt(octal, 8)))
    else if (hex !== undefined) parts.push(Buffer.of(Number.parseInt(hex, 16)))
    else parts.push(Buffer.from(character('', undefined, simple)))
  }
  return Buffer.concat(parts)

  function character(_escape: string, code: string | undefined, simple: string | undefined): string {
    if (code !== undefined) {
      const point = /^[0-3]/.test(code) ? Number.parseInt(code, 8) : Number.parseInt(code.slice(1), 16)
      if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw syntaxError(text, at, 'not a character')
      return String.fromCodePoint(point)
    }
    const value = simple === undefined ? undefined : simpleEscapes.get(simple)
    if (value === undefined) throw syntaxError(text, at, `'\\${simple}' is no escape`)
    return value
  }
}

const simpleEscapes = new Map([
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ...['\\', "'", '"', '`', '?'].map((character) => [character, character] as const),
])
