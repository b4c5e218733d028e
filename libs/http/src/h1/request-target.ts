import type { RequestHead } from '../message.ts'

/**
 * Sets path, scheme and authority from the request target (RFC 9112 section 3.2): origin form, `*` with OPTIONS, absolute
 * form (its authority replaces Host), authority form with CONNECT. False: none of these.
 */
export function applyTarget(head: RequestHead, target: string): boolean {
  if (head.method === 'CONNECT') {
    // host:port, nothing else.
    if (!/^[^/?#@\s]+:\d{1,5}$/.test(target)) return false
    head.authority = target
    head.path = ''
    return true
  }
  if (target.charCodeAt(0) === 47) {
    head.path = target
    return true
  }
  if (target === '*') {
    head.path = '*'
    return head.method === 'OPTIONS'
  }
  const match = /^(https?):\/\/([^/?#]+)([/?].*)?$/i.exec(target)
  if (match === null || match[2] === undefined || match[2].includes('@')) return false
  head.scheme = match[1]!.toLowerCase()
  head.authority = match[2]
  const rest = match[3] ?? '/'
  head.path = rest.startsWith('?') ? `/${rest}` : rest
  return true
}
