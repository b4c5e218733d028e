import { invalid } from '../../plan/problems.ts'
import type { FormatContext } from './context.ts'
import type { FormatValue, Operator, OperatorKind } from './operator.ts'
import { wireText } from './wire-text.ts'

type Metadata = Readonly<Record<string, unknown>> | null

const sources: Readonly<Record<string, (context: FormatContext) => Metadata>> = {
  DYNAMIC: ({ metadataOrNull }) => metadataOrNull,
  CLUSTER: ({ clusterMetadata }) => clusterMetadata,
  ROUTE: ({ routeMetadata }) => routeMetadata,
  VIRTUAL_HOST: ({ virtualHostMetadata }) => virtualHostMetadata ?? null,
  UPSTREAM_HOST: ({ info }) => info.upstreamEndpoint?.metadata ?? null,
  LISTENER: ({ connection }) => connection.listenerMetadata ?? null,
  LISTENER_FILTER_CHAIN: ({ connection }) => connection.filterChainMetadata ?? null,
}

/** `NAMESPACE:KEY:KEY…`: the value there. */
function at(argument: string, from: (context: FormatContext) => Metadata): Operator {
  const keys = argument.split(':')
  return (context) => {
    let value: unknown = from(context)
    for (const key of keys) {
      if (!isRecord(value) || !Object.hasOwn(value, key)) return null
      value = value[key]
    }
    return asValue(value)
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asValue(value: unknown): FormatValue {
  if (typeof value === 'string') return wireText(value)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  return Array.isArray(value) || isRecord(value) ? inWireText(value) : null
}

/** The same with all its texts as they are written. */
function inWireText<T extends object>(value: T): T {
  const text = JSON.stringify(value)
  const written = wireText(text)
  return written === text ? value : JSON.parse(written)
}

/** `METADATA(TYPE:NAMESPACE:KEY…)`. */
const ofType: OperatorKind = (argument, path) => {
  const [type = '', ...rest] = argument.split(':')
  const from = Object.hasOwn(sources, type) ? sources[type] : undefined
  if (from === undefined) throw invalid(path, `unknown metadata type '${type}' in '%METADATA(${argument})%'`)
  return at(rest.join(':'), from)
}

function need(argument: string, path: string): string {
  if (argument === '') throw invalid(path, 'metadata needs the name of a namespace')
  return argument
}

/** `FILTER_STATE(KEY:PLAIN|TYPED|FIELD:FIELD)`. */
const filterState: OperatorKind = (argument, path) => {
  const [key = '', as = 'TYPED', field = ''] = argument.split(':')
  if (as !== 'FIELD' && field !== '') throw invalid(path, `FILTER_STATE(KEY:${as}) takes nothing more, not '${field}'`)
  if (key === '') throw invalid(path, 'FILTER_STATE needs a key')
  if (!['PLAIN', 'TYPED', 'FIELD'].includes(as) || (as === 'FIELD' && field === ''))
    throw invalid(path, `FILTER_STATE can't be written as '${as}': PLAIN, TYPED or FIELD`)
  return ({ filterState }) => {
    const value = filterState.get(key)
    if (as === 'FIELD') return isRecord(value) ? asValue(value[field]) : null
    // Typed, a string is JSON: quoted in text.
    if (typeof value === 'string') return as === 'PLAIN' ? value : { toJSON: () => value }
    if (typeof value === 'number' || typeof value === 'boolean') return value
    // What a filter means to be logged says how.
    if (!isRecord(value) || !('toJSON' in value)) return null
    return as === 'PLAIN' ? String(value) : value
  }
}

/** Metadata of what a request met, and what filters kept of it. */
export const metadataOperators: Readonly<Record<string, OperatorKind>> = {
  METADATA: ofType,
  DYNAMIC_METADATA: (argument, path) => ofType(`DYNAMIC:${need(argument, path)}`, path),
  CLUSTER_METADATA: (argument, path) => ofType(`CLUSTER:${need(argument, path)}`, path),
  UPSTREAM_METADATA: (argument, path) => ofType(`UPSTREAM_HOST:${need(argument, path)}`, path),
  FILTER_STATE: filterState,
  // As header edits had it before FILTER_STATE.
  PER_REQUEST_STATE: (argument, path) => filterState(`${argument}:PLAIN`, path),
  // Filters of upstream connections are none.
  UPSTREAM_FILTER_STATE: (argument, path) => {
    filterState(argument, path)
    return () => null
  },
}
