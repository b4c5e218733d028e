import { syntaxError } from '../expression-error.ts'
import type { CelExpression } from './syntax.ts'
import { readTokens, type Token } from './tokens.ts'

/** Bounds of what is read: characters, and brackets or signs within each other. */
const longest = 100_000
const deepest = 250

/** Binary operators by how tightly they bind, loosest first. */
const levels: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '<', '<=', '>', '>=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
]

/** Words that are no names. */
const reserved = new Set(
  'as break const continue else for function if import in let loop package namespace return var void while'.split(' '),
)

/**
 * Parses the text of an expression (CEL's definition, "Syntax"), `has()` with it. Macros that go through lists and messages
 * that are made in the expression are not taken. Throws `invalid_argument` with line and column.
 */
export function parseCel(text: string): CelExpression {
  if (text.length > longest) throw syntaxError(text, 0, `an expression may have at most ${longest} characters`)
  return new Parser(text).parse()
}

class Parser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = readTokens(text)
  }

  parse(): CelExpression {
    const expression = this.#expression()
    const token = this.#peek()
    if (token.type !== 'end') this.#fail(token)
    return expression
  }

  /** A condition with its two outcomes, or what binds tighter. */
  #expression(): CelExpression {
    return this.#nested(() => {
      const condition = this.#binary(0)
      if (!this.#accept('?')) return condition
      const yes = this.#binary(0)
      this.#expect(':')
      return call('_?_:_', condition, yes, this.#expression())
    })
  }

  #binary(level: number): CelExpression {
    const operators = levels[level]
    if (operators === undefined) return this.#unary()
    let left = this.#binary(level + 1)
    for (;;) {
      const token = this.#peek()
      const operator = token.type === 'end' || token.type === 'literal' ? '' : token.text
      if (!operators.includes(operator)) return left
      this.#next++
      left = call(operator === 'in' ? '@in' : `_${operator}_`, left, this.#binary(level + 1))
    }
  }

  #unary(): CelExpression {
    if (this.#accept('!')) return this.#nested(() => call('!_', this.#unary()))
    const token = this.#peek()
    if (!this.#accept('-')) return this.#member(this.#primary())
    const number = this.#peek()
    if (number.type === 'literal' && (typeof number.value === 'bigint' || typeof number.value === 'number')) {
      this.#next++
      return this.#member(this.#literal(-number.value, token))
    }
    return this.#nested(() => call('-_', this.#unary()))
  }

  #member(start: CelExpression): CelExpression {
    let operand = start
    for (;;) {
      if (this.#accept('.')) {
        const token = this.#take()
        if (token.type !== 'name' || token.text === 'in') return this.#fail(token)
        operand = this.#accept('(')
          ? { type: 'call', function: token.text, target: operand, args: this.#list(')', false) }
          : { type: 'select', operand, field: token.text, presence: false }
      } else if (this.#accept('[')) {
        const key = this.#expression()
        this.#expect(']')
        operand = call('_[_]', operand, key)
      } else return operand
    }
  }

  #primary(): CelExpression {
    const token = this.#take()
    if (token.type === 'literal')
      return typeof token.value === 'bigint' ? this.#literal(token.value, token) : { type: 'literal', value: token.value }
    if (token.type === 'name') return this.#named(token)
    if (token.type === 'sign' && token.text === '(') {
      const expression = this.#expression()
      this.#expect(')')
      return expression
    }
    if (token.type === 'sign' && token.text === '[') return { type: 'list', items: this.#list(']', true) }
    if (token.type === 'sign' && token.text === '{') return this.#map()
    if (token.type === 'sign' && token.text === '.') {
      const name = this.#take()
      return name.type === 'name' ? this.#named(name) : this.#fail(name)
    }
    return this.#fail(token)
  }

  #named(token: Token & { type: 'name' }): CelExpression {
    const { text } = token
    if (text === 'true' || text === 'false') return { type: 'literal', value: text === 'true' }
    if (text === 'null') return { type: 'literal', value: null }
    if (reserved.has(text)) return this.#fail(token)
    if (!this.#accept('(')) return { type: 'name', name: text }
    const args = this.#list(')', false)
    const [field] = args
    if (text !== 'has' || args.length !== 1 || field === undefined) return { type: 'call', function: text, target: null, args }
    if (field.type !== 'select') throw syntaxError(this.#text, token.at, 'has() asks for a field: has(request.id)')
    return { ...field, presence: true }
  }

  #map(): CelExpression {
    const entries: (readonly [CelExpression, CelExpression])[] = []
    while (!this.#accept('}')) {
      const key = this.#expression()
      this.#expect(':')
      entries.push([key, this.#expression()])
      if (this.#accept(',')) continue
      this.#expect('}')
      break
    }
    return { type: 'map', entries }
  }

  /** Expressions with commas between them, and one behind the last where that may be. */
  #list(end: string, mayTrail: boolean): CelExpression[] {
    const items: CelExpression[] = []
    if (this.#accept(end)) return items
    for (;;) {
      items.push(this.#expression())
      if (this.#accept(end)) return items
      this.#expect(',')
      if (mayTrail && this.#accept(end)) return items
    }
  }

  #literal(value: bigint | number, token: Token): CelExpression {
    if (typeof value === 'bigint' && value !== BigInt.asIntN(64, value))
      throw syntaxError(this.#text, token.at, 'invalid int literal')
    return { type: 'literal', value }
  }

  #nested(read: () => CelExpression): CelExpression {
    if (++this.#depth > deepest) throw syntaxError(this.#text, this.#peek().at, `nested more than ${deepest} deep`)
    const expression = read()
    this.#depth--
    return expression
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { type: 'end', at: this.#text.length }
  }

  #take(): Token {
    const token = this.#peek()
    this.#next++
    return token
  }

  #accept(sign: string): boolean {
    const token = this.#peek()
    if (token.type !== 'sign' || token.text !== sign) return false
    this.#next++
    return true
  }

  #expect(sign: string): void {
    if (!this.#accept(sign)) this.#fail(this.#peek(), `'${sign}'`)
  }

  #fail(token: Token, wanted?: string): never {
    const found = token.type === 'end' ? 'the end' : token.type === 'literal' ? 'a literal' : `'${token.text}'`
    throw syntaxError(this.#text, token.at, `unexpected ${found}${wanted === undefined ? '' : `, ${wanted} is missing`}`)
  }
}

function call(name: string, ...args: CelExpression[]): CelExpression {
  return { type: 'call', function: name, target: null, args }
}
