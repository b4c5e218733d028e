import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'

/**
 * The value of a request's first cookie of that name; null: there is none. As Envoy reads cookies: spaces may stand before a
 * name and nowhere else, and quotes around a value are no part of it.
 */
export function cookieValue(headers: HeaderTable, name: string): string | null {
  for (let i = headers.find(names.cookie); i >= 0; i = headers.find(names.cookie, i + 1)) {
    for (const pair of headers.valueAt(i).split(';')) {
      const equals = pair.indexOf('=')
      if (equals < 0 || pair.slice(0, equals).replace(/^ +/, '') !== name) continue
      const value = pair.slice(equals + 1)
      return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
    }
  }
  return null
}
