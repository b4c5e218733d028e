import type { Bag } from '@weft/attributes/bag'
import type { Manifest } from '@weft/attributes/manifest'
import type { AttributeValue, ValueType } from '@weft/attributes/types'
import { check, type FunctionTable } from './checker.ts'
import { type Evaluator, lastAbsence, toClosure } from './closures.ts'
import { typeError } from './expression-error.ts'
import { type ExtensionFunction, INTRINSICS } from './functions.ts'
import { parse } from './parser.ts'

/** An expression ready to run: immutable, shared by all requests. */
export interface Expression {
  readonly text: string
  readonly type: ValueType
  /**
   * The expression's value for one request. The bag notes which attributes were asked for, if it tracks.
   * Throws WeftError `not_found` when an attribute that it needs is absent (`lookup failed: 'source.name'`),
   * and `invalid_argument` when a value does not convert.
   */
  evaluate(bag: Bag): AttributeValue
  /** As `evaluate`, but an absent attribute gives undefined at once; no error is built, so it is cheap. */
  resolve(bag: Bag): AttributeValue | undefined
}

/** An expression of type BOOL, such as a rule's match. */
export interface Predicate extends Expression {
  readonly type: 'BOOL'
  evaluate(bag: Bag): boolean
  resolve(bag: Bag): boolean | undefined
}

export interface CompileOptions {
  /** Functions beside the language's own. */
  functions?: readonly ExtensionFunction[] | undefined
}

const INTRINSIC_TABLE: FunctionTable = new Map(INTRINSICS.map((signature) => [signature.name, signature]))

/**
 * Parses, type-checks against the manifest and compiles an expression. Throws WeftError `invalid_argument`
 * with `where.path` = `line:column` inside the text; the caller adds file and line of the text itself.
 */
export function compile(text: string, manifest: Manifest, options: CompileOptions = {}): Expression {
  const extensions = options.functions ?? []
  const functions =
    extensions.length === 0
      ? INTRINSIC_TABLE
      : new Map([...INTRINSIC_TABLE, ...extensions.map((added) => [added.name, added] as const)])
  const typed = check(text, parse(text), manifest, functions)
  const closure: Evaluator = toClosure(text, typed, new Map(extensions.map((added) => [added.name, added])))
  return {
    text,
    type: typed.valueType,
    resolve: closure,
    evaluate(bag) {
      const value = closure(bag)
      if (value === undefined) throw lastAbsence(bag)
      return value
    },
  }
}

/** As {@link compile}, for an expression that has to be BOOL. */
export function compilePredicate(text: string, manifest: Manifest, options: CompileOptions = {}): Predicate {
  const expression = compile(text, manifest, options)
  if (expression.type !== 'BOOL') {
    throw typeError(text, 0, `expression '${text}' gives ${expression.type}, expected BOOL`)
  }
  const asBoolean = (value: AttributeValue): boolean => value === true
  return {
    text,
    type: 'BOOL',
    evaluate: (bag) => asBoolean(expression.evaluate(bag)),
    resolve(bag) {
      const value = expression.resolve(bag)
      return value === undefined ? undefined : asBoolean(value)
    },
  }
}
