import type { RequestHead } from '../message.ts'

export type TargetProblem = 'url' | 'scheme'

/**
 * Sets path, scheme and authority from the request target (RFC 9112 section 3.2): origin form, `*` with OPTIONS, absolute
 * form (its authority replaces Host), authority form with CONNECT. Gives what is wrong, or null.
 */
export function applyTarget(head: RequestHead, target: string): TargetProblem | null {
  if (head.method === 'CONNECT') {
    // host:port, nothing else.
    if (!/^[^/?#@\s]+:\d{1,5}$/.test(target)) return 'url'
    head.authority = target
    head.path = ''
    return null
  }
  if (target.charCodeAt(0) === 47) {
    head.path = target
    return null
  }
  if (target === '*') {
    head.path = '*'
    return head.method === 'OPTIONS' ? null : 'url'
  }
  const match = /^(https?):\/\/([^/?#]+)([/?].*)?$/i.exec(target)
  if (match === null || match[2] === undefined || match[2].includes('@')) {
    return /^(?!https?:)[a-z][a-z0-9+.-]*:\/\//i.test(target) ? 'scheme' : 'url'
  }
  head.scheme = match[1]!.toLowerCase()
  head.authority = match[2]
  head.path = match[3] ?? '/'
  return null
}
