import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import { describe, expect, it } from 'vitest'
import { FakeStream } from './fake-stream.ts'
import { changeRequest, changeResponse, type HeaderChange, replyMisnamed } from './header-changes.ts'

const added = (name: string, value: string): HeaderChange => ({ name, value, how: 'add' })
const all = (head: RequestHead | ResponseHead, name: string) => head.headers.getAll(headerName(name), ' | ')

// As Envoy 1.40 does.
describe('headers that a service adds', () => {
  it('stand beside those of a request, in one where a name stands once, and make what is no header longer', () => {
    const request = new RequestHead()
    request.path = '/a'
    request.authority = 'one'
    const twice = ['x-a', 'user-agent'].flatMap((name) => [added(name, '1'), added(name, '2')])
    const list = [...twice, added(':path', 'two'), added('host', 'two'), added(':method', '')]
    expect(changeRequest(request, list)).toBeNull()
    expect([all(request, 'x-a'), all(request, 'user-agent')]).toEqual(['1 | 2', '1,2'])
    expect([request.path, request.authority, request.method]).toEqual(['/a,two', 'one,two', ''])
  })

  it('stand beside those of an answer; what would be a line or a message of its own is left out', () => {
    const response = new ResponseHead()
    const odd = ['content-length', 'transfer-encoding', ':status', 'x: 1\r\ny']
    changeResponse(
      response,
      [...odd, 'set-cookie', 'set-cookie', 'location', 'location'].map((name, i) => added(name, String(i))),
    )
    const names: string[] = []
    response.headers.forEach((name) => {
      names.push(name)
    })
    expect(names).toEqual(['set-cookie', 'set-cookie', 'location'])
    expect(all(response, 'location')).toBe('6,7')
  })

  it('end a request whose name could be none', () => {
    const request = new RequestHead()
    expect(changeRequest(request, [added('x a', '1'), added('x-b', '1')])).toBe('x a')
    const stream = new FakeStream({})
    replyMisnamed(stream, 'x a')
    const details = 'filter_removed_required_request_headers{invalid_header_name:_x_a}'
    expect(stream.replied).toEqual({ status: 503, body: 'invalid header name: x a', options: { details, flags: ['DPE'] } })
  })
})
