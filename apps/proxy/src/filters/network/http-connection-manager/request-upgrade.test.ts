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
