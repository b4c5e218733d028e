import {
  type DescEnum,
  type DescExtension,
  type DescField,
  type DescOneof,
  getOption,
  hasOption,
  type Registry,
} from '@bufbuild/protobuf'
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { formats, headerForm } from './formats.ts'

/** A value as the reflection API gives it: a scalar, an enum's number, bytes, or a message. */
export type RuleValue = string | number | bigint | boolean | Uint8Array | ReflectMessage
/** What is wrong with a value, or undefined. */
export type Check = (value: RuleValue) => string | undefined

/** What `validate.rules` demands of one field. */
export interface FieldRules {
  /** The message, or its wrapper, has to be there. */
  required: boolean
  /** The message's own rules do not apply here. */
  skip: boolean
  /** For a field that holds one value. */
  value: Check | undefined
  /** For lists and maps: bounds on how many. */
  size: ((count: number) => string | undefined) | undefined
  unique: boolean
  items: FieldRules | undefined
  keys: FieldRules | undefined
}

/** Reads the constraints that Envoy's API states on its fields (protoc-gen-validate's options). */
export function rulesReader(registry: Registry): {
  rulesOf(field: DescField): FieldRules | undefined
  oneofRequired(oneof: DescOneof): boolean
} {
  const rulesExtension = extension(registry, 'validate.rules')
  const requiredExtension = extension(registry, 'validate.required')
  const fieldRules = registry.getMessage('validate.FieldRules')
  const compiled = new Map<DescField, FieldRules | undefined>()
  return {
    rulesOf(field) {
      if (compiled.has(field)) return compiled.get(field)
      let rules: FieldRules | undefined
      if (fieldRules !== undefined && hasOption(field, rulesExtension)) {
        const option: unknown = getOption(field, rulesExtension)
        const message = isMessage(option) ? reflect(fieldRules, option) : undefined
        if (message !== undefined) rules = compile(message, field.enum)
      }
      compiled.set(field, rules)
      return rules
    },
    oneofRequired: (oneof) => hasOption(oneof, requiredExtension) && getOption(oneof, requiredExtension) === true,
  }
}

function extension(registry: Registry, name: string): DescExtension {
  const found = registry.getExtension(name)
  if (found === undefined) throw new Error(`the descriptors have no option ${name}`)
  return found
}

function isMessage(value: unknown): value is Parameters<typeof reflect>[1] & object {
  return typeof value === 'object' && value !== null && '$typeName' in value
}

/** A rule message with its set members by name. */
type Members = Map<string, RuleValue | RuleValue[] | ReflectMessage>

function membersOf(message: ReflectMessage): Members {
  const members: Members = new Map()
  for (const field of message.fields) {
    if (!message.isSet(field)) continue
    const value: unknown = message.get(field)
    if (field.fieldKind === 'list') members.set(field.name, [...(value as Iterable<RuleValue>)])
    else members.set(field.name, value as RuleValue)
  }
  return members
}

function compile(message: ReflectMessage, words: DescEnum | undefined): FieldRules {
  const rules: FieldRules = {
    required: false,
    skip: false,
    value: undefined,
    size: undefined,
    unique: false,
    items: undefined,
    keys: undefined,
  }
  for (const [kind, member] of membersOf(message)) {
    if (!isReflectMessage(member)) continue
    const options = membersOf(member)
    if (options.get('required') === true) rules.required = true
    if (options.get('skip') === true) rules.skip = true
    if (kind === 'repeated') {
      rules.size = countCheck(options, 'min_items', 'max_items', 'item')
      rules.unique = options.get('unique') === true
      rules.items = nested(options.get('items'), words)
    } else if (kind === 'map') {
      rules.size = countCheck(options, 'min_pairs', 'max_pairs', 'entry')
      rules.keys = nested(options.get('keys'), undefined)
      rules.items = nested(options.get('values'), words)
    } else rules.value = valueCheck(kind, options, words)
  }
  return rules
}

function nested(member: unknown, words: DescEnum | undefined): FieldRules | undefined {
  return isReflectMessage(member) ? compile(member, words) : undefined
}

function countCheck(options: Members, least: string, most: string, noun: string): FieldRules['size'] {
  const min = number(options.get(least))
  const max = number(options.get(most))
  if (min === undefined && max === undefined) return undefined
  const ignoreEmpty = options.get('ignore_empty') === true
  return (count) => {
    if (ignoreEmpty && count === 0) return undefined
    if (min !== undefined && count < min) return `needs at least ${min} ${noun}${min === 1 ? '' : 's'}, has ${count}`
    if (max !== undefined && count > max) return `may have at most ${max} ${noun}${max === 1 ? '' : 's'}, has ${count}`
    return undefined
  }
}

function valueCheck(kind: string, options: Members, words: DescEnum | undefined): Check | undefined {
  switch (kind) {
    case 'string':
      return all(options, [sizes(options), affixes(options), pattern(options), wellKnown(options), choice(options, same)])
    case 'bytes':
      return all(options, [sizes(options), choice(options, same)])
    case 'enum':
      return all(options, [defined(options, words), choice(options, same)])
    case 'bool':
      return all(options, [choice(options, same)])
    case 'any':
      return all(options, [choice(options, (value, each) => isReflectMessage(value) && anyUrl(value) === each)])
    case 'duration':
    case 'timestamp':
      return all(options, [bounds(options, nanoseconds, 's'), choice(options, (a, b) => nanoseconds(a) === nanoseconds(b))])
    default:
      return all(options, [bounds(options, plainNumber, ''), choice(options, same)])
  }
}

/** The checks in order; the first that fails tells. */
function all(options: Members, checks: (Check | undefined)[]): Check | undefined {
  const present = checks.filter((check) => check !== undefined)
  if (present.length === 0) return undefined
  const ignoreEmpty = options.get('ignore_empty') === true
  return (value) => {
    if (ignoreEmpty && isEmpty(value)) return undefined
    for (const check of present) {
      const problem = check(value)
      if (problem !== undefined) return problem
    }
    return undefined
  }
}

function isEmpty(value: RuleValue): boolean {
  return value === '' || value === 0 || value === 0n || (value instanceof Uint8Array && value.length === 0)
}

function bounds(options: Members, read: (value: unknown) => number | bigint | undefined, unit: string): Check | undefined {
  const [gt, gte, lt, lte] = ['gt', 'gte', 'lt', 'lte'].map((name) => (options.has(name) ? read(options.get(name)) : undefined))
  if (gt === undefined && gte === undefined && lt === undefined && lte === undefined) return undefined
  const shown = (bound: number | bigint): string => (unit === 's' ? `${Number(bound) / 1e9}s` : `${bound}`)
  const low = gt !== undefined ? `greater than ${shown(gt)}` : gte !== undefined ? `at least ${shown(gte)}` : undefined
  const high = lt !== undefined ? `less than ${shown(lt)}` : lte !== undefined ? `at most ${shown(lte)}` : undefined
  const outside = (lt ?? lte ?? Number.POSITIVE_INFINITY) < (gt ?? gte ?? Number.NEGATIVE_INFINITY)
  return (value) => {
    const given = read(value)
    if (given === undefined) return undefined
    const aboveLow = (gt === undefined || given > gt) && (gte === undefined || given >= gte)
    const belowHigh = (lt === undefined || given < lt) && (lte === undefined || given <= lte)
    if (outside ? aboveLow || belowHigh : aboveLow && belowHigh) return undefined
    return `must be ${[low, high].filter((each) => each !== undefined).join(outside ? ' or ' : ' and ')}`
  }
}

function choice(options: Members, equal: (value: RuleValue, each: unknown) => boolean): Check | undefined {
  const only = options.get('const')
  const allowed = list(options.get('in'))
  const refused = list(options.get('not_in'))
  if (only === undefined && allowed.length === 0 && refused.length === 0) return undefined
  return (value) => {
    if (only !== undefined && !equal(value, only)) return `must be ${String(only)}`
    if (allowed.length > 0 && !allowed.some((each) => equal(value, each)))
      return `must be one of ${allowed.map(String).join(', ')}`
    if (refused.some((each) => equal(value, each))) return `must not be ${String(value)}`
    return undefined
  }
}

/** An enum's number that has no word. */
function defined(options: Members, words: DescEnum | undefined): Check | undefined {
  if (options.get('defined_only') !== true || words === undefined) return undefined
  return (value) => (words.value[Number(value)] === undefined ? `${String(value)} is no ${words.name}` : undefined)
}

function sizes(options: Members): Check | undefined {
  const [len, min, max, lenBytes, minBytes, maxBytes] = ['len', 'min_len', 'max_len', 'len_bytes', 'min_bytes', 'max_bytes'].map(
    (name) => number(options.get(name)),
  )
  if ([len, min, max, lenBytes, minBytes, maxBytes].every((bound) => bound === undefined)) return undefined
  return (value) => {
    const bytes = value instanceof Uint8Array ? value.length : Buffer.byteLength(String(value))
    const length = typeof value === 'string' ? [...value].length : bytes
    if (len !== undefined && length !== len) return `must have length ${len}`
    if (min !== undefined && length < min) return min === 1 ? 'must not be empty' : `must have length ${min} at least`
    if (max !== undefined && length > max) return `must have length ${max} at most`
    if (lenBytes !== undefined && bytes !== lenBytes) return `must have ${lenBytes} bytes`
    if (minBytes !== undefined && bytes < minBytes)
      return minBytes === 1 ? 'must not be empty' : `must have ${minBytes} bytes at least`
    if (maxBytes !== undefined && bytes > maxBytes) return `must have ${maxBytes} bytes at most`
    return undefined
  }
}

function affixes(options: Members): Check | undefined {
  const [prefix, suffix, contains, without] = ['prefix', 'suffix', 'contains', 'not_contains'].map((name) => options.get(name))
  if (prefix === undefined && suffix === undefined && contains === undefined && without === undefined) return undefined
  return (value) => {
    const text = String(value)
    if (typeof prefix === 'string' && !text.startsWith(prefix)) return `must start with '${prefix}'`
    if (typeof suffix === 'string' && !text.endsWith(suffix)) return `must end with '${suffix}'`
    if (typeof contains === 'string' && !text.includes(contains)) return `must contain '${contains}'`
    if (typeof without === 'string' && text.includes(without)) return `must not contain '${without}'`
    return undefined
  }
}

/** The API's patterns are RE2 and of a kind (anchored classes) that reads the same in ECMAScript once `\z`-like ends go. */
function pattern(options: Members): Check | undefined {
  const source = options.get('pattern')
  if (typeof source !== 'string') return undefined
  const expression = new RegExp(source, 'u')
  return (value) => (expression.test(String(value)) ? undefined : `must match ${source}`)
}

function wellKnown(options: Members): Check | undefined {
  const header = options.get('well_known_regex')
  if (header === 1 || header === 2) {
    const check = headerForm(header === 1 ? 'name' : 'value', options.get('strict') !== false)
    return (value) => check(String(value))
  }
  for (const [name, check] of Object.entries(formats)) if (options.get(name) === true) return (value) => check(String(value))
  return undefined
}

function same(value: RuleValue, each: unknown): boolean {
  return value instanceof Uint8Array && each instanceof Uint8Array ? Buffer.compare(value, each) === 0 : value === each
}

function anyUrl(value: ReflectMessage): string {
  const field = value.desc.fields[0]
  return field === undefined ? '' : String(value.get(field))
}

function plainNumber(value: unknown): number | bigint | undefined {
  return typeof value === 'number' || typeof value === 'bigint' ? value : undefined
}

/** A Duration or Timestamp in nanoseconds. */
function nanoseconds(value: unknown): bigint | undefined {
  if (!isReflectMessage(value)) return undefined
  const [seconds, nanos] = ['seconds', 'nanos'].map((name) => {
    const field = value.desc.fields.find((each) => each.name === name)
    return field === undefined ? 0n : BigInt(value.get(field) as bigint | number)
  })
  return (seconds ?? 0n) * 1_000_000_000n + (nanos ?? 0n)
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
