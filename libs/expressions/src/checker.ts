import type { Manifest } from '@weft/attributes/manifest'
import type { ValueType } from '@weft/attributes/types'
import { typeError } from './expression-error.ts'
import { ADDABLE, type FunctionSignature, INCOMPARABLE, ORDERED, type SlotType } from './functions.ts'
import { printSyntax, type Syntax } from './syntax.ts'

type Call = Extract<Syntax, { type: 'call' }>

/** A checked expression: every node knows its type and calls know their function. */
export type Typed =
  | { type: 'constant'; valueType: ValueType; value: Extract<Syntax, { type: 'constant' }>['value'] }
  | { type: 'attribute'; valueType: ValueType; name: string }
  /** `operands`: the target, where there is one, then the arguments. */
  | { type: 'call'; valueType: ValueType; name: string; operands: readonly Typed[]; offset: number; source: string }

/** The functions by name. */
export type FunctionTable = ReadonlyMap<string, FunctionSignature>

/**
 * Gives each part of an expression its type. Throws `invalid_argument`, with the position and in Istio's
 * words, for an unknown attribute or function, a wrong number of arguments and a wrong type.
 */
export function check(text: string, syntax: Syntax, manifest: Manifest, functions: FunctionTable): Typed {
  switch (syntax.type) {
    case 'constant':
      return { type: 'constant', valueType: syntax.valueType, value: syntax.value }
    case 'attribute': {
      const valueType = manifest.typeOf(syntax.name)
      if (valueType === undefined) throw typeError(text, syntax.offset, `unknown attribute ${syntax.name}`)
      return { type: 'attribute', valueType, name: syntax.name }
    }
    case 'call':
      return checkCall(text, syntax, manifest, functions)
  }
}

function checkCall(text: string, call: Call, manifest: Manifest, functions: FunctionTable): Typed {
  const fail = (problem: string) => typeError(text, call.offset, problem)
  const signature = functions.get(call.name)
  if (signature === undefined) throw fail(`unknown function: ${call.name}`)
  if (call.target === undefined && signature.target !== undefined) {
    throw fail(`invoking instance method without an instance: ${call.name}`)
  }
  if (call.target !== undefined && signature.target === undefined) {
    throw fail(`invoking regular function on instance method: ${call.name}`)
  }
  const operands: Typed[] = []
  let any: ValueType | undefined
  const accept = (slot: SlotType, operand: Typed, role: string, syntax: Syntax) => {
    const expected = slot === 'ANY' ? (any ?? operand.valueType) : slot
    if (slot === 'ANY') any = expected
    if (operand.valueType !== expected) {
      throw typeError(
        text,
        syntax.offset,
        `${printSyntax(call)} ${role} (${printSyntax(syntax)}) typeError got ${operand.valueType}, expected ${expected}`,
      )
    }
    operands.push(operand)
  }
  if (call.target !== undefined && signature.target !== undefined) {
    accept(signature.target, check(text, call.target, manifest, functions), 'target', call.target)
  }
  if (call.args.length < signature.args.length) throw fail(arityProblem(call, signature))
  signature.args.forEach((slot, index) => {
    const arg = call.args[index]
    if (arg !== undefined) accept(slot, check(text, arg, manifest, functions), `arg ${index + 1}`, arg)
  })
  if (call.args.length > signature.args.length) throw fail(arityProblem(call, signature))
  if (any !== undefined) refuseUnsupported(call, any, fail)
  const valueType = signature.returns === 'ANY' ? any : signature.returns
  if (valueType === undefined) throw fail(`${printSyntax(call)} has no type`)
  return { type: 'call', valueType, name: call.name, operands, offset: call.offset, source: printSyntax(call) }
}

function arityProblem(call: Call, signature: FunctionSignature): string {
  return `${printSyntax(call)} arity mismatch. Got ${call.args.length} arg(s), expected ${signature.args.length} arg(s)`
}

function refuseUnsupported(call: Call, any: ValueType, fail: (problem: string) => Error): void {
  const oneOf = (types: readonly ValueType[]) => `${printSyntax(call)} typeError got ${any}, expected one of ${types.join(', ')}`
  switch (call.name) {
    case 'ADD':
      if (!ADDABLE.includes(any)) throw fail(oneOf(ADDABLE))
      return
    case 'EQ':
    case 'NEQ':
      if (INCOMPARABLE.includes(any))
        throw fail(`${printSyntax(call)} typeError ${any} values have no equality; compare their entries`)
      return
    case 'LSS':
    case 'LEQ':
    case 'GTR':
    case 'GEQ':
      if (!ORDERED.includes(any)) throw fail(oneOf(ORDERED))
  }
}
