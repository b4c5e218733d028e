import { VirtualHost } from '@weft/contracts/envoy/config/route/v3/route_components'
import { describe, expect, it } from 'vitest'
import { parseConfigDocument } from '../bootstrap/document.ts'
import { decodeDocuments } from '../control/validation/decode.ts'
import { FakeStream } from '../filters/http/fake-stream.ts'
import { compileHeaderEdits } from './header-edits.ts'

const levelOf = (level: object): VirtualHost =>
  VirtualHost.decode(
    decodeDocuments('envoy.config.route.v3.VirtualHost', [
      parseConfigDocument(JSON.stringify({ name: 'v', domains: ['*'], ...level })),
    ]),
  )

/** What a request's headers are after a level's edits. */
function edited(
  headers: Record<string, string>,
  options: readonly [name: string, value: string, action?: string, keepEmpty?: boolean][],
  remove: readonly string[] = [],
): string[] {
  const stream = new FakeStream({ headers })
  const level = levelOf({
    request_headers_to_add: options.map(([key, value, action = 'APPEND_IF_EXISTS_OR_ADD', keepEmpty = false]) => ({
      header: { key, value },
      append_action: action,
      keep_empty_value: keepEmpty,
    })),
    request_headers_to_remove: remove,
  })
  compileHeaderEdits(level, 'route')?.onRequest(stream.format, stream.request)
  const seen: string[] = []
  stream.request.headers.forEach((name, value) => void seen.push(`${name}: ${value}`))
  return seen
}

describe('the header edits of a level', () => {
  it('make their values of the headers before any of them is added, and after what is removed', () => {
    expect(
      edited({}, [
        ['x-a', 'new'],
        ['x-b', '%REQ(x-a)%'],
      ]),
    ).toEqual(['x-a: new'])
    expect(edited({ 'x-a': 'old' }, [['x-b', '%REQ(x-a)%']], ['x-a'])).toEqual([])
  })

  it('look whether a header is there before any of them is added', () => {
    const twice = edited({}, [
      ['x-a', '1', 'ADD_IF_ABSENT'],
      ['x-a', '2', 'ADD_IF_ABSENT'],
    ])
    expect(twice).toEqual(['x-a: 1', 'x-a: 2'])
    expect(
      edited({}, [
        ['x-a', '1'],
        ['x-a', '2', 'OVERWRITE_IF_EXISTS'],
      ]),
    ).toEqual(['x-a: 1'])
  })

  it('overwrite first, and add then', () => {
    expect(
      edited({ 'x-a': 'old' }, [
        ['x-a', 'added'],
        ['x-a', 'set', 'OVERWRITE_IF_EXISTS_OR_ADD'],
      ]),
    ).toEqual(['x-a: set', 'x-a: added'])
  })

  it('join a header that Envoy keeps one of; nothing joined to it is nothing', () => {
    expect(edited({ 'user-agent': 'a' }, [['user-agent', 'b']])).toEqual(['user-agent: a,b'])
    expect(edited({ 'user-agent': 'a' }, [['user-agent', '%REQ(x-none)%', 'APPEND_IF_EXISTS_OR_ADD', true]])).toEqual([
      'user-agent: a',
    ])
    expect(edited({ 'user-agent': '' }, [['user-agent', 'b']])).toEqual(['user-agent: b'])
    expect(edited({ 'proxy-status': 'a' }, [['proxy-status', 'b']])).toEqual(['proxy-status: a,b'])
    expect(edited({}, [['user-agent', '%REQ(x-none)%', 'APPEND_IF_EXISTS_OR_ADD', true]])).toEqual(['user-agent: '])
  })

  it('refuse a header that may not be edited', () => {
    const level = levelOf({ request_headers_to_add: [{ header: { key: ':path', value: 'x' } }] })
    expect(() => compileHeaderEdits(level, 'routes[0]')).toThrow(
      "headers that begin with ':', and Host, may not be modified: ':path'",
    )
  })
})
