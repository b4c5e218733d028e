import type { HeaderName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { FormatContext } from './context.ts'

/** A value of an operator; null is written `-` in text. Objects and numbers stay what they are in JSON. */
export type FormatValue = string | number | boolean | null | Readonly<Record<string, unknown>> | readonly unknown[]

/** Reads one operator's value. */
export interface Operator {
  (context: FormatContext): FormatValue
  /** Where the value is a header's as it came: its table and names, for who copies bytes instead of making a string. */
  readonly header?: HeaderSource
  /** Text is cut to this length, of objects too; in JSON only strings are. */
  readonly textLimit?: number
}

export interface HeaderSource {
  table(context: FormatContext): HeaderTable | null
  readonly name: HeaderName
  /** Taken where the first is absent. */
  readonly alternative: HeaderName | null
}

/** A kind of operator: made of what stands in its parentheses. Throws a WeftError at `path` for what it does not take. */
export interface OperatorKind {
  (argument: string, path: string): Operator
  /** Takes neither an argument nor a length. */
  readonly bare?: boolean
}

/** Operators that take nothing, as kinds. */
export function plain(operators: Readonly<Record<string, Operator>>): Record<string, OperatorKind> {
  return Object.fromEntries(Object.entries(operators).map(([name, read]) => [name, Object.assign(() => read, { bare: true })]))
}
