import { equalDnsNames } from './dns-name.ts'

/** A URI reference in its parts (RFC 3986, appendix B), escapes left as they are. */
interface Uri {
  scheme: string
  userinfo: string | undefined
  host: string | undefined
  port: string
  /** Path, query and fragment. */
  rest: string
}

const SPLIT = /^(?:([^:/?#]*):)?(?:\/\/([^/?#]*))?([\s\S]*)$/

/** What is wrong with a URI reference, in the words of Go's net/url; undefined when nothing is. */
export function uriProblem(text: string): string | undefined {
  const uri = parseUri(text)
  return 'problem' in uri ? uri.problem : undefined
}

/** True when both are the same URI; in http and https the host is compared as a DNS name. Gives the problem of the first that is no URI. */
export function equalUris(left: string, right: string): boolean | { invalid: string; problem: string } {
  const a = parseUri(left)
  if ('problem' in a) return { invalid: left, problem: a.problem }
  const b = parseUri(right)
  if ('problem' in b) return { invalid: right, problem: b.problem }
  if (a.scheme !== b.scheme || a.port !== b.port || a.rest !== b.rest || a.userinfo !== b.userinfo) return false
  if (a.host === b.host) return true
  if (a.host === undefined || b.host === undefined || (a.scheme !== 'http' && a.scheme !== 'https')) return false
  return equalDnsNames(a.host, b.host) === true
}

function parseUri(text: string): Uri | { problem: string } {
  const wrong = (problem: string) => ({ problem: `parse ${text.slice(0, 1000)}: ${problem}` })
  if (text === '') return { problem: 'empty string' }
  if (/[\0-\x1f\x7f]/.test(text)) return wrong('net/url: invalid control character in URL')
  const badEscape = /%(?![0-9a-fA-F]{2}).{0,2}/.exec(text)?.[0]
  if (badEscape !== undefined) return wrong(`invalid URL escape ${JSON.stringify(badEscape)}`)
  const [, scheme, authority, rest = ''] = SPLIT.exec(text) ?? []
  if (scheme === '') return wrong('missing protocol scheme')
  if (scheme !== undefined && !/^[a-zA-Z][a-zA-Z0-9+.-]*$/.test(scheme))
    return wrong('first path segment in URL cannot contain colon')
  const at = authority?.lastIndexOf('@') ?? -1
  const hostPort = authority?.slice(at + 1)
  const [, host, port] = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(hostPort ?? '') ?? []
  if (hostPort !== undefined && host === undefined) return wrong(`invalid port or host in ${JSON.stringify(hostPort)}`)
  if (host !== undefined && /[ <>"]/.test(host)) return wrong(`invalid character in host name`)
  return {
    scheme: scheme?.toLowerCase() ?? '',
    userinfo: at < 0 ? undefined : authority?.slice(0, at),
    host: hostPort === undefined ? undefined : host,
    port: port ?? '',
    rest,
  }
}
