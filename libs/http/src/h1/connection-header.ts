import { headerName, names } from '../header-name.ts'
import type { RequestHead } from '../message.ts'

/** Headers that a Connection header may not take away: what is trusted stands in them. */
const protectedNames = new Set(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'])
/** Tokens that are options, not names of headers. */
const options = new Set(['close', 'keep-alive', 'upgrade', 'http2-settings'])

/** As many names make sense to nobody but who wants headers gone (Envoy's limits). */
const mostTokens = 9
const longestTe = 255

/**
 * Removes the headers that Connection names (RFC 9110 section 7.6.1), and their names from it; `te` keeps `trailers`. False: it names one that it must
 * not, or too many. A nominated Host leaves the request without authority.
 */
export function removeNominated(head: RequestHead): boolean {
  const { headers } = head
  const value = headers.getAll(names.connection) ?? ''
  let tokens = 0
  const kept: string[] = []
  let nominates = false
  for (const part of value.split(',')) {
    const token = part.trim().toLowerCase()
    if (token === '') continue
    if (++tokens > mostTokens) return false
    if (options.has(token)) {
      kept.push(part.trim())
      continue
    }
    nominates = true
    if (protectedNames.has(token) || token.includes(':')) return false
    if (token === 'host') head.authority = ''
    else if (token === 'te') {
      const te = headers.getAll(names.te)
      if (te !== null && te.length > longestTe) return false
      if (te?.toLowerCase().includes('trailers') === true) headers.set(names.te, 'trailers')
      else headers.remove(names.te)
    } else headers.remove(headerName(token))
  }
  if (nominates && kept.length === 0) headers.remove(names.connection)
  else if (nominates) headers.set(names.connection, kept.join(','))
  return true
}
