import type { CheckedExpr } from '@weft/contracts/google/api/expr/v1alpha1/checked'
import type { Expr } from '@weft/contracts/google/api/expr/v1alpha1/syntax'
import { compileCel } from '@weft/expressions/cel/compile'
import { parseCel } from '@weft/expressions/cel/parser'
import type { CelExpression } from '@weft/expressions/cel/syntax'
import { type CelResult, fromJson } from '@weft/expressions/cel/values'
import { WeftError } from '@weft/service/errors'
import type { FormatContext } from '../observe/format/context.ts'
import { invalid } from '../plan/problems.ts'
import { regexSearch } from '../routing/matchers/regex.ts'
import { attributesOf, type ExpressionNode } from './attributes.ts'
import { fromParsedForm } from './parsed-form.ts'

/** A CEL expression over Envoy's attributes of a request (or a TCP session). */
export type Expression = (context: FormatContext) => CelResult

/** Compiles the text of an expression; throws a WeftError at `path`. `node`: what `xds.node` is; absent: it is not known. */
export function compileText(text: string, path: string, node?: ExpressionNode): Expression {
  return compile(() => parseCel(text), path, node)
}

/** Compiles an expression that was parsed before. */
export function compileParsed(source: Expr | undefined, path: string): Expression {
  return compile(() => fromParsedForm(source, path), path)
}

/** The same of one whose types were checked, which makes no difference here. */
export function compileChecked(source: CheckedExpr, path: string): Expression {
  return compileParsed(source.expr, `${path}.expr`)
}

function compile(read: () => CelExpression, path: string, node?: ExpressionNode): Expression {
  try {
    const program = compileCel(read(), { search: regexSearch })
    const own = node === undefined ? undefined : fromJson(node)
    return (context) => program(attributesOf(context, own))
  } catch (error) {
    const reason = WeftError.from(error)
    throw reason.code === 'unimplemented' ? reason : invalid(path, `failed to create an expression: ${reason.message}`)
  }
}
