import { parseDuration } from '@weft/attributes/duration'
import { syntaxError } from './expression-error.ts'
import { type Token, tokenize } from './lexer.ts'
import type { Syntax } from './syntax.ts'

/** Longer expressions and deeper nesting are refused: configuration may come from many hands. */
const MAX_LENGTH = 32_768
const MAX_DEPTH = 500

/** Go's binary operators: precedence, and the name of the function that each calls. `|` binds as `+` does. */
const BINARY: ReadonlyMap<string, readonly [precedence: number, name: string]> = new Map([
  ['||', [1, 'LOR']],
  ['&&', [2, 'LAND']],
  ['==', [3, 'EQ']],
  ['!=', [3, 'NEQ']],
  ['<', [3, 'LSS']],
  ['<=', [3, 'LEQ']],
  ['>', [3, 'GTR']],
  ['>=', [3, 'GEQ']],
  ['+', [4, 'ADD']],
  ['-', [4, 'SUB']],
  ['|', [4, 'OR']],
  ['^', [4, 'XOR']],
  ['*', [5, 'MUL']],
  ['/', [5, 'QUO']],
  ['%', [5, 'REM']],
  ['<<', [5, 'SHL']],
  ['>>', [5, 'SHR']],
  ['&', [5, 'AND']],
  ['&^', [5, 'AND_NOT']],
])

const UNARY: ReadonlyMap<string, string> = new Map([
  ['!', 'NOT'],
  ['-', 'SUB'],
  ['+', 'ADD'],
  ['^', 'XOR'],
  ['&', 'AND'],
])

const INT64_LIMIT = 1n << 63n

/**
 * Reads an expression. The grammar is Go's for expressions, cut down to what means something here; whether
 * a function exists and its types fit is for the checker. Throws `invalid_argument` with the position.
 */
export function parse(text: string): Syntax {
  if (text.length > MAX_LENGTH) throw syntaxError(text, MAX_LENGTH, `expression is longer than ${MAX_LENGTH} characters`)
  return new Parser(text).whole()
}

class Parser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokenize(text)
  }

  whole(): Syntax {
    const expression = this.#binary(1)
    if (this.#token.type !== 'end') throw this.#expected("'EOF'")
    return expression
  }

  get #token(): Token {
    const token = this.#tokens[this.#next] ?? this.#tokens.at(-1)
    if (token === undefined) throw syntaxError(this.#text, 0, 'expected operand, found EOF')
    return token
  }

  #isOperator(text: string): boolean {
    return this.#token.type === 'operator' && this.#token.text === text
  }

  #expected(what: string): Error {
    const token = this.#token
    return syntaxError(this.#text, token.offset, `expected ${what}, found ${nameOf(token)}`)
  }

  #take(operator: string): void {
    if (!this.#isOperator(operator)) throw this.#expected(`'${operator}'`)
    this.#next++
  }

  #deeper(): void {
    if (++this.#depth > MAX_DEPTH) {
      throw syntaxError(this.#text, this.#token.offset, `expression is nested deeper than ${MAX_DEPTH} levels`)
    }
  }

  #binary(minimum: number): Syntax {
    this.#deeper()
    let left = this.#unary()
    // Chains such as `a | b | c` nest to the left, so their length counts as depth too.
    let links = 0
    for (;;) {
      const operator = this.#token
      if (operator.type === 'operator' && (operator.text === '=' || operator.text === ':=') && minimum <= 3)
        throw this.#expected("'=='")
      const [precedence, name] = (operator.type === 'operator' && BINARY.get(operator.text)) || [0, '']
      if (precedence === 0 || precedence < minimum) break
      this.#next++
      this.#deeper()
      links++
      const right = this.#binary(precedence + 1)
      left = { type: 'call', name, target: undefined, args: [left, right], offset: operator.offset }
    }
    this.#depth -= links + 1
    return left
  }

  #unary(): Syntax {
    const operator = this.#token
    const name = operator.type === 'operator' ? UNARY.get(operator.text) : undefined
    if (name === undefined) return this.#primary()
    this.#next++
    this.#deeper()
    const operand = this.#unary()
    this.#depth--
    return { type: 'call', name, target: undefined, args: [operand], offset: operator.offset }
  }

  /** An operand with what follows it: `.name`, `.method(…)`, `[key]`. */
  #primary(): Syntax {
    let operand = this.#operand()
    let links = 0
    for (;;) {
      const offset = this.#token.offset
      if (this.#isOperator('.')) {
        this.#next++
        operand = this.#selected(operand, offset)
      } else if (this.#isOperator('[')) {
        this.#next++
        const key = this.#binary(1)
        this.#take(']')
        operand = { type: 'call', name: 'INDEX', target: undefined, args: [operand, key], offset }
      } else {
        break
      }
      this.#deeper()
      links++
    }
    this.#depth -= links
    return operand
  }

  #selected(operand: Syntax, dotOffset: number): Syntax {
    const selector = this.#token
    if (selector.type !== 'identifier') throw this.#expected('selector or type assertion')
    this.#next++
    if (this.#isOperator('(')) {
      return { type: 'call', name: selector.text, target: operand, args: this.#arguments(), offset: selector.offset }
    }
    if (operand.type !== 'attribute') {
      throw syntaxError(this.#text, dotOffset, `'.${selector.text}' follows what is no attribute name; only a method call may`)
    }
    return { type: 'attribute', name: `${operand.name}.${selector.text}`, offset: operand.offset }
  }

  #operand(): Syntax {
    const token = this.#token
    switch (token.type) {
      case 'identifier':
        this.#next++
        return this.#named(token.text, token.offset)
      case 'integer': {
        this.#next++
        const value = this.#integer(token.text, token.offset)
        return { type: 'constant', valueType: 'INT64', value, source: token.text, offset: token.offset }
      }
      case 'float':
        this.#next++
        return { type: 'constant', valueType: 'DOUBLE', value: Number(token.text), source: token.text, offset: token.offset }
      case 'string': {
        this.#next++
        // By convention a string literal that reads as a duration is one: `response.duration | "0ms"`.
        const duration = parseDuration(token.value)
        return duration === undefined
          ? { type: 'constant', valueType: 'STRING', value: token.value, source: token.text, offset: token.offset }
          : { type: 'constant', valueType: 'DURATION', value: duration, source: token.text, offset: token.offset }
      }
      case 'operator':
        if (token.text !== '(') break
        this.#next++
        return this.#parenthesised()
      case 'end':
        break
    }
    throw this.#expected('operand')
  }

  #named(name: string, offset: number): Syntax {
    if (this.#isOperator('(')) return { type: 'call', name, target: undefined, args: this.#arguments(), offset }
    const lower = name.toLowerCase()
    if (lower === 'true' || lower === 'false') {
      return { type: 'constant', valueType: 'BOOL', value: lower === 'true', source: name, offset }
    }
    return { type: 'attribute', name, offset }
  }

  #parenthesised(): Syntax {
    const inner = this.#binary(1)
    this.#take(')')
    return inner
  }

  #arguments(): Syntax[] {
    this.#take('(')
    const args: Syntax[] = []
    while (!this.#isOperator(')')) {
      args.push(this.#binary(1))
      if (!this.#isOperator(',')) break
      this.#next++
    }
    this.#take(')')
    return args
  }

  #integer(text: string, offset: number): bigint {
    if (!/^\d+$/.test(text)) throw syntaxError(this.#text, offset, `parsing "${text}": invalid syntax (integers are decimal)`)
    const value = BigInt(text)
    if (value >= INT64_LIMIT) throw syntaxError(this.#text, offset, `parsing "${text}": value out of range of INT64`)
    return value
  }
}

/** How Go's parser names a token it did not expect. */
function nameOf(token: Token): string {
  switch (token.type) {
    case 'end':
      return "'EOF'"
    case 'operator':
      return `'${token.text}'`
    default:
      return token.text.slice(0, 100)
  }
}
