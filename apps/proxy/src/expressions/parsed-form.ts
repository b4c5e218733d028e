import type { Constant, Expr } from '@weft/contracts/google/api/expr/v1alpha1/syntax'
import type { CelExpression } from '@weft/expressions/cel/syntax'
import { CelDuration, CelTimestamp, CelUint, type CelValue } from '@weft/expressions/cel/values'
import { invalid, unsupported } from '../plan/problems.ts'

/** How deep it may be nested: a sum of so many parts, too. */
const deepest = 1_000

/**
 * An expression from its protobuf form, as control planes send it. Throws a WeftError for what is no expression, and for what
 * makes messages or goes through lists, which Envoy has off.
 */
export function fromParsedForm(source: Expr | undefined, path: string, depth = 1): CelExpression {
  const kind = source?.exprKind
  if (depth > deepest) throw invalid(path, `the expression is nested more than ${deepest} deep`)
  const inner = (one: Expr | undefined): CelExpression => fromParsedForm(one, path, depth + 1)
  switch (kind?.$case) {
    case undefined:
      throw invalid(path, 'holds an expression of no kind')
    case 'constExpr':
      return { type: 'literal', value: constant(kind.value, path) }
    case 'identExpr':
      if (kind.value.name === '') throw invalid(path, "Invalid expression: identifier 'name' must not be empty")
      return { type: 'name', name: kind.value.name }
    case 'selectExpr': {
      const { operand, field, testOnly } = kind.value
      if (field === '') throw invalid(path, "Invalid expression: select 'field' must not be empty")
      return { type: 'select', operand: inner(operand), field, presence: testOnly }
    }
    case 'callExpr': {
      const { function: name, target, args } = kind.value
      return { type: 'call', function: name, target: target === undefined ? null : inner(target), args: args.map(inner) }
    }
    case 'listExpr':
      return { type: 'list', items: kind.value.elements.map(inner) }
    case 'structExpr': {
      const { messageName, entries } = kind.value
      if (messageName !== '') throw unsupported(path, `making a ${messageName} in an expression`)
      return {
        type: 'map',
        entries: entries.map(({ keyKind, value }) => {
          if (keyKind?.$case !== 'mapKey') throw invalid(path, 'an entry of a map needs a map_key')
          return [inner(keyKind.value), inner(value)] as const
        }),
      }
    }
    case 'comprehensionExpr':
      throw invalid(path, 'Comprehension support is disabled')
  }
}

function constant({ constantKind: kind }: Constant, path: string): CelValue {
  switch (kind?.$case) {
    case undefined:
      throw invalid(path, 'holds a constant of no kind')
    case 'nullValue':
      return null
    case 'int64Value':
      return BigInt(kind.value)
    case 'uint64Value':
      return new CelUint(BigInt(kind.value))
    case 'durationValue':
      return new CelDuration(BigInt(kind.value.seconds) * 1_000_000_000n + BigInt(kind.value.nanos))
    case 'timestampValue':
      return new CelTimestamp(BigInt(kind.value.getTime()) * 1_000_000n)
    case 'boolValue':
    case 'doubleValue':
    case 'stringValue':
    case 'bytesValue':
      return kind.value
  }
}
