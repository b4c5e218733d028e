import { MemorySink } from '@weft/http/byte-sink'
import { defaultClientOptions, Http1ClientConnection } from '@weft/http/h1/client-connection'
import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { SeenRequest } from './server-transcript.ts'

/** Headers that end with a connection (RFC 9110 section 7.6.1): the router takes them off. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'expect',
  'http2-settings',
])

/** The bytes by which a complete request goes on to an upstream. */
export function forwarded(seen: SeenRequest): Buffer {
  const sink = new MemorySink()
  const connection = new Http1ClientConnection(sink, defaultClientOptions, {
    ...{ reusable: () => {}, close: () => {}, surplus: () => {}, endWriting: () => {}, pause: () => {}, resume: () => {} },
    withdraw: () => false,
  })
  connection.begin({
    response: new ResponseHead(),
    ...{ onInterim: () => {}, onResponseHead: () => {}, onResponseData: () => {}, onResponseTrailers: () => {} },
    ...{ onResponseReset: () => {}, onRequestWritable: () => {} },
  })
  const head = new RequestHead()
  Object.assign(head, { method: seen.method, path: seen.path, authority: seen.authority })
  for (const [name, value] of seen.headers) if (!hopByHop.has(name)) head.headers.append(headerName(name), value)
  const body = Buffer.from(seen.body, 'latin1')
  connection.sendHead(head, body.length === 0)
  if (body.length > 0) connection.sendData(body, 0, body.length, true)
  return Buffer.from(sink.take(), 'latin1')
}
