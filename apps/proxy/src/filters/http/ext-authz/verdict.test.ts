import { HeaderValueOption, type HeaderValueOption_HeaderAppendAction } from '@weft/contracts/envoy/config/core/v3/base'
import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import { describe, expect, it } from 'vitest'
import { changeRequest, changeResponse, replaceHeaders } from '../header-changes.ts'
import { answerChanges, hasUnknownAction, requestChanges, responseChanges } from './verdict.ts'

const option = (key: string, value: string, more: Parameters<typeof HeaderValueOption.fromPartial>[0] = {}) =>
  HeaderValueOption.fromPartial({ header: { key, value }, ...more })

function headed<Head extends RequestHead | ResponseHead>(head: Head, headers: readonly [string, string][]): Head {
  for (const [name, value] of headers) head.headers.append(headerName(name), value)
  return head
}

const listed = ({ headers }: RequestHead | ResponseHead): string[] => {
  const all: string[] = []
  headers.forEach((name, value) => {
    all.push(`${name}: ${value}`)
  })
  return all.sort()
}

// As Envoy 1.40 does.
describe('headers that the service wants in a request', () => {
  const there = [
    ['x-a', '1'],
    ['x-a', '2'],
    ['cookie', 'k=v'],
  ] as const

  it('replace what is there, the last of a name; what is to be appended lengthens the first that is there, and comes behind', () => {
    const request = headed(
      new RequestHead(),
      there.map(([name, value]) => [name, value]),
    )
    const changes = requestChanges([
      option('x-a', 'n', { append: true }),
      option('cookie', 'n', { append: true }),
      option('x-none', 'n', { append: true }),
      option('x-b', 'b', { append: true }),
      option('x-b', 'first'),
      option('x-b', 'last', { appendAction: 3 }),
    ])
    expect(changeRequest(request, changes)).toBeNull()
    expect(listed(request)).toEqual(['cookie: k=v; n', 'x-a: 1,n', 'x-a: 2', 'x-b: last,b'])
  })

  it('change what stands beside the headers, and never where a message ends', () => {
    const request = new RequestHead()
    request.path = '/a'
    request.authority = 'one'
    const names = ['content-length', 'Transfer-Encoding', 'upgrade']
    const pseudo = [option(':path', '/b', { append: true }), option('host', 'two'), option(':method', 'PUT')]
    expect(changeRequest(request, requestChanges([...names.map((name) => option(name, '3')), ...pseudo]))).toBeNull()
    expect([request.path, request.authority, request.method, listed(request)]).toEqual(['/a,/b', 'two', 'PUT', []])
  })

  it('are no headers where the name can be none', () => {
    const request = new RequestHead()
    expect(changeRequest(request, requestChanges([option('x a', '1')]))).toBe('x a')
    expect(listed(request)).toEqual([])
  })
})

describe('headers that the service wants in an answer', () => {
  const answer = () =>
    headed(new ResponseHead(), [
      ['x-r', 'up'],
      ['location', '/l'],
    ])

  it.each<[string, { append?: boolean; appendAction?: HeaderValueOption_HeaderAppendAction }, string[]]>([
    ['append', { append: true }, ['location: /l,n', 'x-new: n', 'x-new: n', 'x-r: n', 'x-r: up']],
    ['neither', {}, ['location: /l,n', 'x-new: n', 'x-new: n', 'x-r: n', 'x-r: up']],
    ['append: false', { append: false, appendAction: 1 }, ['location: n', 'x-new: n', 'x-r: n']],
    ['ADD_IF_ABSENT', { appendAction: 1 }, ['location: /l', 'x-new: n', 'x-r: up']],
    ['OVERWRITE_IF_EXISTS_OR_ADD', { appendAction: 2 }, ['location: n', 'x-new: n', 'x-r: n']],
    ['OVERWRITE_IF_EXISTS', { appendAction: 3 }, ['location: n', 'x-r: n']],
    ['an action that is not known', { appendAction: -1 }, ['location: /l', 'x-r: up']],
  ])('%s', (_label, more, expected) => {
    const response = answer()
    const options = ['x-r', 'x-new', 'x-new', 'location'].map((name) => option(name, 'n', more))
    changeResponse(response, responseChanges(options))
    expect(listed(response)).toEqual(expected)
    expect(hasUnknownAction(options)).toBe(more.append === undefined && more.appendAction === -1)
  })

  it('that replace come behind those that add, and none is what would begin another line', () => {
    const response = answer()
    const options = [option('x-r', 'set', { append: false }), option('x-r', 'more', { append: true }), option(':status', '500')]
    changeResponse(response, responseChanges([...options, option('x-r: 1\r\nx-evil', '1')]))
    expect(listed(response)).toEqual(['location: /l', 'x-r: set'])
  })

  it('take the place of those of an answer of its own, all that have a name, without those that append', () => {
    const response = answer()
    const options = [option('x-r', 'a', { appendAction: 3 }), option('x-r', 'b'), option('location', 'gone', { append: true })]
    replaceHeaders(response, answerChanges(options))
    expect(listed(response)).toEqual(['location: /l', 'x-r: a', 'x-r: b'])
  })
})
