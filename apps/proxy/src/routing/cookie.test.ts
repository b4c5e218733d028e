import { names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { expect, it } from 'vitest'
import { cookieValue } from './cookie.ts'

// As Envoy 1.40 read the same headers, by a route's cookie match and by header_to_metadata.
it.each([
  [['a=1'], '1'],
  [['b=2;a=1'], '1'],
  [['b=2;  a=1'], '1'],
  [['b=2;\ta=1'], null],
  [['a =1'], null],
  [['a= 1'], ' 1'],
  [['a=1 ; b=2'], '1 '],
  [['a=1;a=2'], '1'],
  [['a=2', 'a=1'], '2'],
  [['b=1', 'a=1'], '1'],
  [['a'], null],
  [['a; a=1'], '1'],
  [['a='], ''],
  [['=1'], null],
  [['aa=1'], null],
  [['a==1'], '=1'],
  [['a="1"'], '1'],
  [['a=" 1 "'], ' 1 '],
  [['a="1" ; b=2'], '"1" '],
  [['a="1'], '"1'],
  [['a="'], '"'],
  [['a=""'], ''],
  [[], null],
])('the cookie a of %j is %j', (lines, value) => {
  const headers = new HeaderTable()
  for (const line of lines) headers.append(names.cookie, line)
  expect(cookieValue(headers, 'a')).toBe(value)
})
