import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { framingOf } from './response-finish.ts'

function exchange(status: number, { method = 'GET', version = 11 as 10 | 11 | 20, length = '' }) {
  const [request, response] = [new RequestHead(), new ResponseHead()]
  Object.assign(request, { method, version })
  response.status = status
  if (length !== '') response.headers.append(headerName('content-length'), length)
  return { request, response }
}

it.each([
  ['a body of unknown length', exchange(200, {}), false, 'transfer-encoding: chunked'],
  ['no body', exchange(200, {}), true, 'content-length: 0'],
  ['a length that is stated', exchange(200, { length: '3' }), false, ''],
  ['HTTP/1.0', exchange(200, { version: 10 }), false, ''],
  ['HTTP/2', exchange(200, { version: 20 }), false, ''],
  ['204', exchange(204, {}), true, ''],
  ['304', exchange(304, {}), true, ''],
  ['an answer to HEAD', exchange(200, { method: 'HEAD' }), true, ''],
])('what HTTP/1.1 writes besides for %s', (_what, one, endStream, written) => {
  expect(framingOf(one, endStream)).toBe(written)
})
