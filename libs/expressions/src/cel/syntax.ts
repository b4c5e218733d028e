import type { CelValue } from './values.ts'

/** An expression of CEL, parsed from text or from its protobuf form. Operators are calls under their names in the specification (`_&&_`, `_[_]`). */
export type CelExpression =
  | { type: 'literal'; value: CelValue }
  | { type: 'name'; name: string }
  | { type: 'select'; operand: CelExpression; field: string; presence: boolean }
  | { type: 'call'; function: string; target: CelExpression | null; args: readonly CelExpression[] }
  | { type: 'list'; items: readonly CelExpression[] }
  | { type: 'map'; entries: readonly (readonly [key: CelExpression, value: CelExpression])[] }
