import { names } from '@weft/http/header-name'
import { RequestHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { replaceHost } from './request-head.ts'

it.each([
  ['old.test', null, 'old.test'],
  ['old.test', 'a', 'a,old.test'],
  ['old.test', 'a,old.test', 'a,old.test'],
  ['old.test', 'old.test,b', 'old.test,b,old.test'],
  ['old.test', '', 'old.test'],
  ['', null, null],
])('authority %j behind x-forwarded-host %j: %j', (authority, forwarded, told) => {
  const request = new RequestHead()
  request.authority = authority
  if (forwarded !== null) request.headers.append(names.forwardedHost, forwarded)
  replaceHost(request, 'new.test', true, false)
  expect(request.authority).toBe('new.test')
  expect(request.headers.getAll(names.forwardedHost)).toBe(told)
})
