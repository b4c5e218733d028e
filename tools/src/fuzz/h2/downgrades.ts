import { clientPreface, flag, frameType } from '@weft/http/h2/frame'
import { data, frame, get, headers, post, settings } from '@weft/http/h2/testing/raw-peer'
import type { Smuggle } from '../http1/smuggling.ts'

type Field = [name: string, value: string]

const { endStream, endHeaders } = flag
const hidden = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
const injected = 'b\r\nsmuggled: yes'
const hiddenLength = String(hidden.length)

/** Pseudo-headers of a request to /first, some of them others. */
function pseudo(method: 'GET' | 'POST', others: Record<string, string> = {}): Field[] {
  return (method === 'GET' ? get : post).map(([name, value]) => [name, others[name] ?? (name === ':path' ? '/first' : value)])
}

const asGet = pseudo('GET')
const asPost = pseudo('POST')

/** Requests that are a head alone. */
const heads: [string, Field[]][] = [
  ['a line end in a value', [...asGet, ['x-a', injected]]],
  ['a bare LF in a value', [...asGet, ['x-a', 'b\nsmuggled: yes']]],
  ['a bare CR in a value', [...asGet, ['x-a', 'b\rsmuggled: yes']]],
  ['a NUL in a value', [...asGet, ['x-a', 'b\0c']]],
  ['a whole request in a value', [...asGet, ['x-a', `b\r\n\r\n${hidden}`]]],
  ['a line end at the end of a value', [...asGet, ['x-a', 'b\r\n']]],
  ['a line end in a cookie', [...asGet, ['cookie', injected]]],
  ['a line end in a name', [...asGet, ['x-a: b\r\nsmuggled', 'yes']]],
  ['a colon in a name', [...asGet, ['smuggled: yes', 'b']]],
  ['a space in a name', [...asGet, ['x a', 'b']]],
  ['a space behind a name', [...asGet, ['transfer-encoding ', 'chunked']]],
  ['a large letter in a name', [...asGet, ['X-a', 'b']]],
  ['an empty name', [...asGet, ['', 'b']]],
  ['a NUL in a name', [...asGet, ['x\0a', 'b']]],
  ['a name beyond ASCII', [...asGet, ['x-\xe4', 'b']]],
  ['a line end in the method', pseudo('GET', { ':method': 'GET /smuggled HTTP/1.1\r\nx: ' })],
  ['a space in the method', pseudo('GET', { ':method': 'GET /smuggled' })],
  ['an empty method', pseudo('GET', { ':method': '' })],
  ['a line end in the path', pseudo('GET', { ':path': '/first HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled' })],
  ['a space in the path', pseudo('GET', { ':path': '/first HTTP/1.1' })],
  ['a tab in the path', pseudo('GET', { ':path': '/first\tx' })],
  ['a NUL in the path', pseudo('GET', { ':path': '/first\0' })],
  ['a fragment in the path', pseudo('GET', { ':path': '/first#x' })],
  ['an empty path', pseudo('GET', { ':path': '' })],
  ['a path without a slash', pseudo('GET', { ':path': 'first' })],
  ['a whole URL for a path', pseudo('GET', { ':path': 'http://b.test/smuggled' })],
  ['a line end in the authority', pseudo('GET', { ':authority': injected })],
  ['a space in the authority', pseudo('GET', { ':authority': 'a b' })],
  ['a path in the authority', pseudo('GET', { ':authority': 'a/smuggled' })],
  ['a user in the authority', pseudo('GET', { ':authority': 'u@a' })],
  ['a line end in the scheme', pseudo('GET', { ':scheme': 'http://a/ HTTP/1.1\r\nsmuggled: yes\r\nx: ' })],
  ['a scheme of another kind', pseudo('GET', { ':scheme': 'http://a/?' })],
  ['another Host than its authority', [...asGet, ['host', 'b.test']]],
  ['two Hosts', [...asGet.filter(([name]) => name !== ':authority'), ['host', 'a.test'], ['host', 'b.test']]],
  ['a Host with a line end', [...asGet.filter(([name]) => name !== ':authority'), ['host', injected]]],
  ['a pseudo-header behind others', [...asGet.slice(0, 3), ['x-a', 'b'], ...asGet.slice(3)]],
  ['two paths', [...asGet, [':path', '/smuggled']]],
  ['two methods', [...asGet, [':method', 'POST']]],
  ['an unknown pseudo-header', [...asGet, [':smuggled', 'yes']]],
  ['a status', [...asGet, [':status', '200']]],
  ['no path', asGet.filter(([name]) => name !== ':path')],
  ['no method', asGet.filter(([name]) => name !== ':method')],
  ['no scheme', asGet.filter(([name]) => name !== ':scheme')],
  ['Transfer-Encoding', [...asGet, ['transfer-encoding', 'chunked']]],
  ['Connection', [...asGet, ['connection', 'keep-alive, x-a']]],
  ['Keep-Alive', [...asGet, ['keep-alive', 'timeout=5']]],
  ['Proxy-Connection', [...asGet, ['proxy-connection', 'keep-alive']]],
  ['Upgrade', [...asGet, ['upgrade', 'websocket']]],
  ['TE with more than trailers', [...asGet, ['te', 'trailers, chunked']]],
  ['TE of chunked', [...asGet, ['te', 'chunked']]],
  ['a length without a body', [...asGet, ['content-length', hiddenLength]]],
  ['a length of a list', [...asGet, ['content-length', '0, 0']]],
  ['CONNECT with a path', pseudo('GET', { ':method': 'CONNECT' })],
]

/** Requests with a body that has the hidden request in it. */
const bodies: [string, Field[], string[]][] = [
  ['no length', asPost, [hidden]],
  ['GET and no length', asGet, [hidden]],
  ['HEAD', pseudo('GET', { ':method': 'HEAD' }), [hidden]],
  ['its length', [...asPost, ['content-length', hiddenLength]], [hidden]],
  ['its length twice', [...asPost, ['content-length', hiddenLength], ['content-length', hiddenLength]], [hidden]],
  ['a length of 0', [...asPost, ['content-length', '0']], [hidden]],
  ['a shorter length', [...asPost, ['content-length', '5']], ['hello', hidden]],
  ['a longer length', [...asPost, ['content-length', '500']], [hidden]],
  ['a length with a plus', [...asPost, ['content-length', `+${hiddenLength}`]], [hidden]],
  ['a length in hexadecimal', [...asPost, ['content-length', '0x5']], ['hello']],
  ['a length with blanks', [...asPost, ['content-length', ` ${hiddenLength} `]], [hidden]],
  ['two lengths', [...asPost, ['content-length', '0'], ['content-length', hiddenLength]], [hidden]],
  ['an empty length', [...asPost, ['content-length', '']], [hidden]],
  ['a huge length', [...asPost, ['content-length', '18446744073709551616']], [hidden]],
  ['Transfer-Encoding', [...asPost, ['transfer-encoding', 'chunked']], [`0\r\n\r\n${hidden}`]],
  ['Transfer-Encoding after a tab', [...asPost, ['transfer-encoding', '\tchunked']], [`0\r\n\r\n${hidden}`]],
  ['Transfer-Encoding behind a value', [...asPost, ['x-a', 'b\r\ntransfer-encoding: chunked']], [`0\r\n\r\n${hidden}`]],
  ['Transfer-Encoding behind a name', [...asPost, ['x-a: b\r\ntransfer-encoding', 'chunked']], [`0\r\n\r\n${hidden}`]],
  ['Expect', [...asPost, ['expect', '100-continue']], [hidden]],
  ['an upgrade', [...asPost, ['upgrade', 'h2c']], [hidden]],
]

/** Trailers of a request with a body. */
const trailers: [string, Field[]][] = [
  ['a line end', [['x-a', injected]]],
  ['a pseudo-header', [[':path', '/smuggled']]],
  ['Content-Length', [['content-length', '0']]],
  ['Transfer-Encoding', [['transfer-encoding', 'chunked']]],
  ['Host', [['host', 'b.test']]],
]

function downgrade(name: string, ...frames: Buffer[]): Smuggle {
  const bytes = Buffer.concat([clientPreface, frame(frameType.settings, 0, 0, settings()), ...frames])
  return { name: `HTTP/2 with ${name}`, bytes, allowed: ['/first'] }
}

function bodyFrames(pieces: readonly string[], lastEnds: boolean): Buffer[] {
  return pieces.map((piece, i) => data(1, piece, lastEnds && i === pieces.length - 1 ? endStream : 0))
}

/**
 * Requests of HTTP/2 that become two, or another one, where they are written as HTTP/1.1 without a look at them. None may come
 * upstream with a header called `smuggled`.
 */
export const downgrades: readonly Smuggle[] = [
  ...heads.map(([name, fields]) => downgrade(name, headers(1, fields))),
  ...bodies.map(([name, fields, pieces]) =>
    downgrade(`a body and ${name}`, headers(1, fields, endHeaders), ...bodyFrames(pieces, true)),
  ),
  ...trailers.map(([name, fields]) =>
    downgrade(`${name} in trailers`, headers(1, asPost, endHeaders), ...bodyFrames([hidden], false), headers(1, fields)),
  ),
]
