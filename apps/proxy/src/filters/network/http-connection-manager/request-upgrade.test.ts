import { headerName } from '@weft/http/header-name'
import { RequestHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { upgradeOf } from './request-upgrade.ts'

function head(method: string, ...headers: [name: string, value: string][]): RequestHead {
  const request = new RequestHead()
  request.method = method
  for (const [name, value] of headers) request.headers.append(headerName(name), value)
  return request
}

it('what is ignored of an Upgrade is neither taken nor passed on', () => {
  const ignores = (text: string): boolean => text.startsWith('TLS/')
  const asking = (upgrade: string): RequestHead => head('GET', ['connection', 'upgrade'], ['upgrade', upgrade])
  expect(upgradeOf(asking('TLS/1.2'), ignores)).toEqual({ type: 'declined' })
  expect(upgradeOf(asking('tls/1.2'), ignores)).toEqual({ type: 'asked', to: 'tls/1.2' })
  expect(upgradeOf(asking('TLS/1.2, h2c'), ignores)).toEqual({ type: 'asked', to: 'h2c' })
  const both = asking('TLS/1.2, websocket')
  expect(upgradeOf(both, ignores)).toEqual({ type: 'asked', to: 'websocket' })
  expect(both.headers.get(headerName('upgrade'))).toBe('websocket')
})

it.each([
  ['a CONNECT', head('CONNECT'), { type: 'asked', to: 'connect' }],
  ['no Upgrade', head('GET'), { type: 'none' }],
  ['one that Connection does not name', head('GET', ['upgrade', 'websocket']), { type: 'none' }],
  ['a protocol', head('GET', ['connection', 'Upgrade'], ['upgrade', 'WebSocket']), { type: 'asked', to: 'websocket' }],
  ['none in words', head('GET', ['connection', 'upgrade'], ['upgrade', '']), { type: 'asked', to: '-' }],
  ['h2c alone', head('GET', ['connection', 'upgrade'], ['upgrade', 'h2c']), { type: 'declined' }],
  ['h2c among others', head('GET', ['connection', 'upgrade'], ['upgrade', 'h2c, foo']), { type: 'asked', to: 'foo' }],
])('the upgrade that a request asks for: %s', (_what, request, upgrade) => {
  expect(upgradeOf(request)).toEqual(upgrade)
})
