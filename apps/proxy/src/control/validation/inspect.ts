import {
  type DescEnumValue,
  type DescField,
  type DescMessage,
  fromBinary,
  getOption,
  hasOption,
  type Message,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf'
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt'
import { WeftError } from '@weft/service/errors'
import type { PathSegment } from '../../bootstrap/document.ts'
import type { Problem } from './problem.ts'
import { type FieldRules, type RuleValue, rulesReader } from './rules.ts'
import { fieldSupport, supportsExtension } from './supported/index.ts'
import { innerType, isTypedStruct, unwrapTypedStruct } from './typed-struct.ts'

/** What was found in a message: what refuses it, and what is only worth telling. */
export interface Findings {
  problems: Problem[]
  warnings: Problem[]
  /** Where it refers to resources that come from elsewhere: messages of `referenceTypes`, in binary, and the field that holds each. */
  references: { type: string; bytes: Uint8Array; field: string }[]
}

/** Messages by which a resource names another that has to be fetched. */
export const referenceTypes = {
  secret: 'envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig',
  /** It may hold an Rds; its stat prefix goes with it. */
  connectionManager: 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
} as const

type Path = readonly PathSegment[]

/** Fields in which Envoy still takes a version of the API that is gone. */
const takesOldVersions: ReadonlySet<string> = new Set([
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.transport_api_version',
])

/** Messages of whose constraints Envoy looks at none. */
const mayBeEmpty: ReadonlySet<string> = new Set(['envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig'])

/** Whole seconds that nanoseconds of 64 bits surely hold: Envoy takes no more. */
const longestDurationS = 9_223_372_035

/**
 * Makes the inspector: it walks a message and all it holds, Any contents too, and tells everything that breaks the API's
 * stated constraints, that is deprecated to the point of refusal, or that this proxy does not support.
 */
export function createInspector(registry: Registry): (desc: DescMessage, message: Message) => Findings {
  const { rulesOf, oneofRequired } = rulesReader(registry)
  const disallowedEnum = registry.getExtension('envoy.annotations.disallowed_by_default_enum')
  const disallowed = registry.getExtension('envoy.annotations.disallowed_by_default')

  const deprecatedAt = registry.getExtension('envoy.annotations.deprecated_at_minor_version_enum')
  /** A word that Envoy refuses, or that went with the API's second version. */
  const isGone = (word: DescEnumValue): boolean =>
    (disallowedEnum !== undefined && hasOption(word, disallowedEnum)) ||
    (deprecatedAt !== undefined && hasOption(word, deprecatedAt) && getOption(word, deprecatedAt) === '3.0')

  return (desc, message) => {
    const findings: Findings = { problems: [], warnings: [], references: [] }
    let depth = 0
    const report = (path: Path, text: string): undefined => {
      findings.problems.push({ path, message: text, ...(depth > 0 ? { inAny: true } : {}) })
    }
    const lack = (path: Path, text: string): undefined => {
      findings.problems.push({ path, message: text, unsupported: true })
    }

    const inspectMessage = (value: ReflectMessage, path: Path): undefined => {
      const type = value.desc
      if (type.typeName === 'google.protobuf.Any') return inspectAny(value, path)
      if (type.typeName.startsWith('google.protobuf.')) return
      if (type.typeName === referenceTypes.secret || type.typeName === referenceTypes.connectionManager)
        findings.references.push({ type: type.typeName, bytes: toBinary(type, value.message), field: fieldOf(path) })
      for (const unknown of value.getUnknown() ?? [])
        findings.warnings.push({
          path,
          message: `${type.typeName} has an unknown field number ${unknown.no}`,
          unknownField: true,
        })
      for (const oneof of type.oneofs)
        if (value.oneofCase(oneof) === undefined && oneofRequired(oneof) && !mayBeEmpty.has(type.typeName))
          report(path, requiredOneof(oneof.fields))
      for (const field of type.fields) inspectField(value, field, [...path, field.name])
    }

    const inspectField = (parent: ReflectMessage, field: DescField, path: Path): undefined => {
      const set = parent.isSet(field)
      const rules = rulesOf(field)
      if (set) {
        const support = fieldSupport(parent.desc.typeName, field.name)
        if (support === 'no') return lack(path, `not supported by this proxy (${parent.desc.typeName}.${field.name})`)
        if (isSpareExtension(parent, field)) return
        if (support === 'no-effect')
          findings.warnings.push({ path, message: `has no effect in this proxy (${parent.desc.typeName}.${field.name})` })
        if (disallowed !== undefined && hasOption(field, disallowed) && getOption(field, disallowed) === true)
          return report(path, `deprecated and no longer allowed (${parent.desc.typeName}.${field.name})`)
        if (field.deprecated) findings.warnings.push({ path, message: `deprecated (${parent.desc.typeName}.${field.name})` })
      } else if (field.fieldKind === 'message') {
        if (rules?.required === true && field.oneof === undefined) report(path, 'must be set')
        return
      } else if (field.oneof !== undefined || (field.fieldKind !== 'list' && field.fieldKind !== 'map' && isOptional(field)))
        return
      inspectValue(parent, field, rules, path)
    }

    const inspectValue = (parent: ReflectMessage, field: DescField, rules: FieldRules | undefined, path: Path): undefined => {
      switch (field.fieldKind) {
        case 'list': {
          const items = [...parent.get(field)]
          tell(path, rules?.size?.(items.length))
          if (rules?.unique === true && new Set(items).size !== items.length) report(path, 'must not hold a value twice')
          for (const [index, item] of items.entries()) inspectOne(item, rules?.items, [...path, index])
          return
        }
        case 'map': {
          const map = parent.get(field)
          tell(path, rules?.size?.(map.size))
          for (const [key, item] of map.entries()) {
            tell([...path, String(key)], rules?.keys?.value?.(key as RuleValue))
            inspectOne(item, rules?.items, [...path, String(key)])
          }
          return
        }
        default:
          inspectOne(parent.get(field), rules, path, field)
      }
    }

    const inspectOne = (value: unknown, rules: FieldRules | undefined, path: Path, field?: DescField): undefined => {
      if (!isReflectMessage(value)) {
        const word = field?.enum?.value[Number(value)]
        if (
          word !== undefined &&
          word.number !== 0 &&
          isGone(word) &&
          !takesOldVersions.has(`${field?.parent?.typeName}.${field?.name}`)
        )
          return report(path, `${word.name} is deprecated and no longer allowed`)
        return tell(path, rules?.value?.(value as RuleValue))
      }
      if (value.desc.typeName === 'google.protobuf.Duration') {
        const parts = value.fields.map((part) => Number(value.get(part)))
        if (parts.some((part) => part < 0)) return report(path, 'a duration must not be negative')
        if ((parts[0] ?? 0) > longestDurationS) return report(path, `a duration must not exceed ${longestDurationS} s`)
      }
      const wrapped = wrapperField(value.desc)
      if (wrapped !== undefined) return tell(path, rules?.value?.(value.get(wrapped) as RuleValue))
      tell(path, rules?.value?.(value))
      if (rules?.skip !== true || field === undefined) inspectMessage(value, path)
    }

    const inspectAny = (any: ReflectMessage, path: Path): undefined => {
      const [urlField, bytesField] = any.desc.fields
      if (urlField === undefined || bytesField === undefined) return
      const url = String(any.get(urlField))
      const bytes: unknown = any.get(bytesField)
      if (url === '') return
      const name = url.slice(url.lastIndexOf('/') + 1)
      const type = registry.getMessage(name)
      if (type === undefined) return lack([...path, '@type'], `unknown type '${url}'`)
      if (isTypedStruct(name) && bytes instanceof Uint8Array) return inspectTypedStruct(bytes, path)
      if (isDataPath(path)) return
      if (!supportsExtension(name)) return lack([...path, '@type'], `not supported by this proxy: '${name}'`)
      if (!(bytes instanceof Uint8Array)) return
      let content: Message
      try {
        content = fromBinary(type, bytes)
      } catch (error) {
        return report(path, `does not hold a ${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
      depth++
      inspectMessage(reflect(type, content), path)
      depth--
    }

    /** One that is still here could not be expanded. */
    const inspectTypedStruct = (bytes: Uint8Array, path: Path): undefined => {
      if (!supportsExtension(innerType(bytes)))
        return lack([...path, 'type_url'], `not supported by this proxy: '${innerType(bytes)}'`)
      try {
        unwrapTypedStruct(registry, bytes)
      } catch (error) {
        report([...path, 'value'], WeftError.from(error).message)
      }
    }

    const tell = (path: Path, problem: string | undefined): undefined => {
      if (problem !== undefined) report(path, problem)
    }

    inspectMessage(reflect(desc, message), [])
    return findings
  }
}

/** The configuration of a filter that may be missing, and is: whoever wrote `is_optional` takes that for granted. */
function isSpareExtension(parent: ReflectMessage, field: DescField): boolean {
  const optional = parent.desc.field['isOptional']
  if (optional?.name !== 'is_optional' || field.message?.typeName !== 'google.protobuf.Any') return false
  if (parent.get(optional) !== true) return false
  const any = parent.get(field)
  const [urlField] = field.message.fields
  if (!isReflectMessage(any) || urlField === undefined) return false
  const url = String(any.get(urlField))
  return !supportsExtension(url.slice(url.lastIndexOf('/') + 1))
}

/** The field that a path ends with, behind which an index may stand. */
function fieldOf(path: Path): string {
  return String(path.findLast((segment) => typeof segment === 'string') ?? '')
}

/** Metadata, and what a route asks of its match, may hold any typed value: it is data for others, not something asked of the proxy. */
function isDataPath(path: Path): boolean {
  return (
    path.some((segment) => segment === 'typed_filter_metadata' || segment === 'filter_metadata' || segment === 'filter_action') ||
    path.at(-1) === 'typed_value'
  )
}

/** A scalar that knows whether it was set: its rules bind only then. */
function isOptional(field: DescField): boolean {
  return field.presence === FeatureSet_FieldPresence.EXPLICIT
}

function requiredOneof(fields: readonly DescField[]): string {
  const names = fields.map((field) => field.name)
  return names.length === 1 ? `${names[0]} must be set` : `one of ${names.join(', ')} must be set`
}

function wrapperField(desc: DescMessage): DescField | undefined {
  return desc.typeName.startsWith('google.protobuf.') && desc.typeName.endsWith('Value') && desc.fields.length === 1
    ? desc.fields.find((field) => field.name === 'value' && field.fieldKind === 'scalar')
    : undefined
}
