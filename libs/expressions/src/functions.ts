import type { AttributeValue, ValueType } from '@weft/attributes/types'

/** `ANY`: whatever type, but the same for every ANY of one call, the result included. */
export type SlotType = ValueType | 'ANY'

/** What a function takes and gives. A `target` makes it a method: `target.name(args)`. */
export interface FunctionSignature {
  name: string
  target?: SlotType | undefined
  args: readonly SlotType[]
  returns: SlotType
}

/**
 * A function that the caller adds to the language. It gets the target first, then the arguments, all
 * present and of the types signed for; what it throws is the evaluation's error.
 */
export interface ExtensionFunction extends FunctionSignature {
  call: (...values: AttributeValue[]) => AttributeValue
}

/** The language's own functions; operators among them, under their syntax names. */
export const INTRINSICS: readonly FunctionSignature[] = [
  { name: 'EQ', args: ['ANY', 'ANY'], returns: 'BOOL' },
  { name: 'NEQ', args: ['ANY', 'ANY'], returns: 'BOOL' },
  { name: 'LSS', args: ['ANY', 'ANY'], returns: 'BOOL' },
  { name: 'LEQ', args: ['ANY', 'ANY'], returns: 'BOOL' },
  { name: 'GTR', args: ['ANY', 'ANY'], returns: 'BOOL' },
  { name: 'GEQ', args: ['ANY', 'ANY'], returns: 'BOOL' },
  { name: 'LOR', args: ['BOOL', 'BOOL'], returns: 'BOOL' },
  { name: 'LAND', args: ['BOOL', 'BOOL'], returns: 'BOOL' },
  { name: 'NOT', args: ['BOOL'], returns: 'BOOL' },
  { name: 'OR', args: ['ANY', 'ANY'], returns: 'ANY' },
  { name: 'ADD', args: ['ANY', 'ANY'], returns: 'ANY' },
  { name: 'INDEX', args: ['STRING_MAP', 'STRING'], returns: 'STRING' },
  { name: 'ip', args: ['STRING'], returns: 'IP_ADDRESS' },
  { name: 'timestamp', args: ['STRING'], returns: 'TIMESTAMP' },
  { name: 'dnsName', args: ['STRING'], returns: 'DNS_NAME' },
  { name: 'email', args: ['STRING'], returns: 'EMAIL_ADDRESS' },
  { name: 'uri', args: ['STRING'], returns: 'URI' },
  { name: 'match', args: ['STRING', 'STRING'], returns: 'BOOL' },
  { name: 'toLower', args: ['STRING'], returns: 'STRING' },
  { name: 'size', args: ['STRING'], returns: 'INT64' },
  { name: 'emptyStringMap', args: [], returns: 'STRING_MAP' },
  { name: 'conditionalString', args: ['BOOL', 'STRING', 'STRING'], returns: 'STRING' },
  { name: 'conditional', args: ['BOOL', 'ANY', 'ANY'], returns: 'ANY' },
  { name: 'matches', target: 'STRING', args: ['STRING'], returns: 'BOOL' },
  { name: 'startsWith', target: 'STRING', args: ['STRING'], returns: 'BOOL' },
  { name: 'endsWith', target: 'STRING', args: ['STRING'], returns: 'BOOL' },
]

/** Types whose values `+` joins or sums. */
export const ADDABLE: readonly ValueType[] = ['STRING', 'INT64', 'DOUBLE']
/** Types that have an order for `< <= > >=`. */
export const ORDERED: readonly ValueType[] = ['STRING', 'INT64', 'DOUBLE', 'TIMESTAMP', 'DURATION']
/** Types that have no equality. */
export const INCOMPARABLE: readonly ValueType[] = ['STRING_MAP']
