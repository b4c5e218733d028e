import { httpFilterTypes } from '../../../filters/http/index.ts'
import { bootstrapSupport } from './bootstrap.ts'
import { clusterSupport } from './clusters.ts'
import { httpFilterSupport } from './http-filters.ts'
import { listenerSupport } from './listeners.ts'
import { routeSupport } from './routes.ts'
import type { SupportTable } from './table.ts'

interface Support {
  all: boolean
  names: Set<string>
}

const tables: readonly SupportTable[] = [bootstrapSupport, listenerSupport, routeSupport, clusterSupport, httpFilterSupport]
const supported = new Map(tables.flatMap((table) => Object.entries(table).map(([name, text]) => [name, parse(text)] as const)))

function parse(text: string): Support {
  const words = text.split(' ').filter((word) => word !== '')
  const all = words[0] === '*'
  return { all, names: new Set(all ? words.slice(1).map((word) => word.slice(1)) : words) }
}

/** Whether the proxy does what a field of a message asks for. */
export function supportsField(messageType: string, field: string): boolean {
  const support = supported.get(messageType)
  return support === undefined || support.all !== support.names.has(field)
}

/** Whether the proxy has the extension (an HTTP filter by its registry, another by a table: network filter, transport socket …) whose configuration is a message of this type. */
export function supportsExtension(messageType: string): boolean {
  return supported.has(messageType) || httpFilterTypes.has(messageType)
}
