import { isIP } from 'node:net'
import type { RequestHead } from '../message.ts'

/** `url`: of an absolute one, the authority is none. */
export type TargetProblem = 'bad-url' | 'bad-scheme'

const absolute = /^([a-z][a-z0-9+.-]*):\/\/([a-z0-9!$%&'()*+,.:;=@[\]_~-]*)([/?].*)?$/i

/** Whether a target could be one: what follows from its parts `applyTarget` tells. */
export function hasForm(method: string, target: string): boolean {
  if (method === 'CONNECT' || target.charCodeAt(0) === 47 || target.charCodeAt(0) === 42) return true
  const match = absolute.exec(target)
  return match !== null && match[2]?.includes('@@') !== true
}

/**
 * Sets path, scheme and authority from the request target (RFC 9112 section 3.2): origin form, `*` with OPTIONS, absolute
 * form (its authority replaces Host; who is named before `@` is forgotten), authority form with CONNECT. Gives what is wrong,
 * or null. The target has one of these forms (`hasForm`).
 */
export function applyTarget(head: RequestHead, target: string): TargetProblem | null {
  if (head.method === 'CONNECT') {
    // host:port, nothing else.
    if (!/^[^/?#@\s]+:\d{1,5}$/.test(target)) return 'bad-url'
    head.authority = target
    head.path = ''
    return null
  }
  if (target.charCodeAt(0) === 47) {
    head.path = target
    return null
  }
  if (target.charCodeAt(0) === 42) {
    head.path = target
    return target === '*' && head.method === 'OPTIONS' ? null : 'bad-url'
  }
  const [, scheme = '', rest = '', path = '/'] = absolute.exec(target) ?? []
  const authority = rest.slice(rest.lastIndexOf('@') + 1)
  if (!isHostAndPort(authority)) return 'bad-url'
  if (!/^https?$/i.test(scheme)) return 'bad-scheme'
  head.scheme = scheme.toLowerCase()
  head.authority = authority
  head.path = path
  return null
}

function isHostAndPort(authority: string): boolean {
  const match = /^(?:([a-z0-9.-]+)|\[([0-9a-f:.]+)\])(?::(\d{1,5}))?$/i.exec(authority)
  if (match === null || (match[2] !== undefined && isIP(match[2]) !== 6)) return false
  return match[3] === undefined || Number(match[3]) <= 65535
}
