import { type CustomTag, CustomTag_ValueType as ValueType } from '@weft/contracts/envoy/type/tracing/v3/custom_tag'
import { headerName } from '@weft/http/header-name'
import { invalid } from '../../plan/problems.ts'
import { metadataReader } from '../../shared/metadata-path.ts'
import type { FormatContext } from '../format/context.ts'
import { compileTextFormat } from '../format/text-format.ts'
import type { TagKind } from './span.ts'

/** A tag that a configuration adds to spans; null: not on this one. */
export interface SpanTag {
  readonly key: string
  readonly kind: TagKind
  read(context: FormatContext): string | null
}

/** Compiles custom tags. */
export function compileCustomTags(sources: readonly CustomTag[], path: string): SpanTag[] {
  return sources.map((source, i) => ({
    key: source.tag,
    kind: kinds[source.valueType] ?? 'text',
    read: compileTag(source, `${path}[${i}]`),
  }))
}

const kinds: Readonly<Record<number, TagKind>> = {
  [ValueType.INT]: 'int',
  [ValueType.DOUBLE]: 'double',
  [ValueType.BOOL]: 'bool',
}

function compileTag({ type }: CustomTag, path: string): SpanTag['read'] {
  switch (type?.$case) {
    case undefined:
      throw invalid(path, 'a tag needs a kind', 'one of literal, environment, request_header and metadata')
    case 'value': {
      const format = compileTextFormat(type.value, `${path}.value`, '')
      return (context) => format(context) || null
    }
    case 'literal': {
      const { value } = type.value
      return () => value
    }
    case 'environment': {
      const value = process.env[type.value.name] ?? type.value.defaultValue
      return () => value || null
    }
    case 'requestHeader': {
      const name = headerName(type.value.name)
      const absent = type.value.defaultValue || null
      return ({ request }) => request?.headers.get(name) ?? absent
    }
    case 'metadata': {
      const { kind, metadataKey, defaultValue } = type.value
      const read = metadataOf(kind?.kind?.$case)
      const at = metadataReader(metadataKey)
      return (context) => textOf(at(read(context))) ?? (defaultValue || null)
    }
  }
}

type Metadata = Readonly<Record<string, unknown>> | null

function metadataOf(kind: 'request' | 'route' | 'cluster' | 'host' | undefined): (context: FormatContext) => Metadata {
  switch (kind) {
    case undefined:
      return () => null
    case 'request':
      return ({ metadataOrNull }) => metadataOrNull
    case 'route':
      return ({ routeMetadata }) => routeMetadata
    case 'cluster':
      return ({ clusterMetadata }) => clusterMetadata
    case 'host':
      return ({ info }) => info.upstreamEndpoint?.metadata ?? null
  }
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
