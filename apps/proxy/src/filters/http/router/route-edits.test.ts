import { headerName } from '@weft/http/header-name'
import { ResponseHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import type { RoutedExchange } from '../routed-exchange.ts'
import { editResponse } from './route-edits.ts'

it.each([
  ['of the router tells', undefined, '2'],
  ['of the connection manager does not tell', false, null],
])('an answer %s how many tries there were', (_whose, tells, told) => {
  const response = new ResponseHead()
  const route = { outcome: { type: 'forward' }, edits: [], host: { includeAttemptCountInResponse: true } }
  editResponse({ response, route, info: { attemptCount: 2 } } as unknown as RoutedExchange, null, tells)
  expect(response.headers.get(headerName('x-envoy-attempt-count'))).toBe(told)
})

it("an answer that no router makes has no edits of a route that leads nowhere, which are for that route's own", () => {
  const response = new ResponseHead()
  const edits = [{ onRequest() {}, onResponse: () => expect.fail('edited') }]
  const route = { outcome: { type: 'direct' }, edits, host: {} }
  editResponse({ response, route, info: { attemptCount: 0 } } as unknown as RoutedExchange, null)
  expect(response.headers.size).toBe(0)
})
