import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { expect, it } from 'vitest'
import { malformedHeader } from './router-plan.ts'

const strict = ['x-envoy-max-retries', 'x-envoy-retry-on', 'x-envoy-upstream-rq-timeout-ms'].map(headerName)

// As Envoy 1.40 answered the same headers.
it.each([
  ['x-envoy-max-retries', 'x', false],
  ['x-envoy-max-retries', '-1', false],
  ['x-envoy-max-retries', '99999999999', true],
  ['x-envoy-upstream-rq-timeout-ms', '', false],
  ['x-envoy-upstream-rq-timeout-ms', '0', true],
  ['x-envoy-retry-on', '5xx,bogus', false],
  ['x-envoy-retry-on', '5xx, reset', true],
  ['x-envoy-retry-on', '', true],
  ['x-other', 'x', true],
])('judges %s: %s', (name, value, fine) => {
  const headers = new HeaderTable()
  headers.append(headerName(name), value)
  expect(malformedHeader(headers, strict)).toEqual(fine ? null : [name, value])
})
