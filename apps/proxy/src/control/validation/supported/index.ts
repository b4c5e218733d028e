import { httpFilterTypes } from '../../../filters/http/index.ts'
import { matchInputTypes } from '../../../routing/matchers/match-input.ts'
import { bootstrapSupport } from './bootstrap.ts'
import { clusterSupport } from './clusters.ts'
import { httpFilterSupport } from './http-filters.ts'
import { listenerSupport } from './listeners.ts'
import { routeSupport } from './routes.ts'
import type { SupportTable } from './table.ts'

/** Whether a field does what it says, is taken without effect, or is refused. */
export type FieldSupport = 'yes' | 'no-effect' | 'no'

interface Support {
  all: boolean
  names: Set<string>
  withoutEffect: Set<string>
}

const tables: readonly SupportTable[] = [bootstrapSupport, listenerSupport, routeSupport, clusterSupport, httpFilterSupport]
const supported = new Map(tables.flatMap((table) => Object.entries(table).map(([name, text]) => [name, parse(text)] as const)))

function parse(text: string): Support {
  const words = text.split(' ').filter((word) => word !== '')
  const withoutEffect = new Set(words.filter((word) => word.startsWith('~')).map((word) => word.slice(1)))
  const rest = words.filter((word) => !word.startsWith('~'))
  const all = rest[0] === '*'
  return { all, withoutEffect, names: new Set(all ? rest.slice(1).map((word) => word.slice(1)) : rest) }
}

/** Whether the proxy does what a field of a message asks for. */
export function fieldSupport(messageType: string, field: string): FieldSupport {
  const support = supported.get(messageType)
  if (support === undefined) return 'yes'
  if (support.withoutEffect.has(field)) return 'no-effect'
  return support.all !== support.names.has(field) ? 'yes' : 'no'
}

/** Whether the proxy has the extension (an HTTP filter by its registry, another by a table: network filter, transport socket …) whose configuration is a message of this type. */
export function supportsExtension(messageType: string): boolean {
  return supported.has(messageType) || httpFilterTypes.has(messageType) || matchInputTypes.includes(messageType)
}
