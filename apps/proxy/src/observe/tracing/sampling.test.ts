import { headerName, names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { expect, test } from 'vitest'
import { decideTrace, reasonOf, type Sampling } from './sampling.ts'

const id = '11111111-1111-4111-8111-111111111111'
const yes = () => true
const no = () => false
const all: Sampling = { client: yes, random: yes, overall: yes }

function request(fields: Record<string, string>): HeaderTable {
  const table = new HeaderTable()
  for (const [name, value] of Object.entries(fields)) table.append(headerName(name), value)
  return table
}

test.each([
  ['by chance', {}, all, 'sampled', '9'],
  ['not by chance', {}, { ...all, random: no }, 'none', '4'],
  ['because the client has a trace', { 'x-client-trace-id': 'x' }, { ...all, random: no }, 'client', 'b'],
  ['not for the client where its share is none', { 'x-client-trace-id': 'x' }, { ...all, client: no, random: no }, 'none', '4'],
  ['because it is forced', { 'x-envoy-force-trace': '1' }, { ...all, random: no }, 'forced', 'a'],
  ['not even then, where the share of all is none', { 'x-envoy-force-trace': '1' }, { ...all, overall: no }, 'none', '4'],
] as const)('a request is traced %s, and its id says so', (_, fields, sampling, reason, digit) => {
  const headers = request({ 'x-request-id': id, ...fields })
  expect(decideTrace(headers, sampling, true)).toBe(reason)
  expect(headers.get(names.requestId)?.[14]).toBe(digit)
  expect(reasonOf(headers.get(names.requestId))).toBe(reason)
})

test('what another proxy decided stays', () => {
  const headers = request({ 'x-request-id': '11111111-1111-9111-8111-111111111111' })
  expect(decideTrace(headers, { client: no, random: no, overall: no }, true)).toBe('sampled')
})

test('an id that is no UUID, and one that is to stay as it is, are left alone', () => {
  const odd = request({ 'x-request-id': '7' })
  expect(decideTrace(odd, all, true)).toBe('sampled')
  expect(odd.get(names.requestId)).toBe('7')
  const kept = request({ 'x-request-id': id })
  expect(decideTrace(kept, all, false)).toBe('sampled')
  expect(kept.get(names.requestId)).toBe(id)
})
