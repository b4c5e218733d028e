import { headerName, names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { expect, test } from 'vitest'
import { decideTrace, reasonOf, type Sampling } from './sampling.ts'

const id = '11111111-1111-4111-8111-111111111111'
const yes = () => true
const no = () => false
const use = { samples: true, packs: true }
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
  expect(decideTrace(headers, sampling, use)).toBe(reason)
  expect(headers.get(names.requestId)?.[14]).toBe(digit)
  expect(reasonOf(headers.get(names.requestId))).toBe(reason)
})

test('what another proxy decided stays', () => {
  const headers = request({ 'x-request-id': '11111111-1111-9111-8111-111111111111' })
  expect(decideTrace(headers, { client: no, random: no, overall: yes }, use)).toBe('sampled')
})

test('the share of all holds for what another proxy decided too', () => {
  const headers = request({ 'x-request-id': '11111111-1111-9111-8111-111111111111' })
  expect(decideTrace(headers, { ...all, overall: no }, use)).toBe('none')
})

test('an id decides by its number, so that every proxy decides alike', () => {
  const third: Sampling = { ...all, random: (draw) => draw < 0.3 }
  const ids = ['00000000', '00000bb7', '00000bb8', '00002710'].map((start) => start + id.slice(8))
  expect(ids.map((one) => decideTrace(request({ 'x-request-id': one }), third, use))).toEqual([
    'sampled',
    'sampled',
    'none',
    'sampled',
  ])
})

test('ids that are no number trace nothing, ones that are no UUID or to stay are left alone, and all is traced where ids do not decide', () => {
  expect(decideTrace(request({ 'x-request-id': '7' }), all, use)).toBe('none')
  const odd = request({ 'x-request-id': '11111111' })
  expect(decideTrace(odd, all, use)).toBe('sampled')
  expect(odd.get(names.requestId)).toBe('11111111')
  const kept = request({ 'x-request-id': id })
  expect(decideTrace(kept, all, { samples: true, packs: false })).toBe('sampled')
  expect(kept.get(names.requestId)).toBe(id)
  expect(decideTrace(request({}), { client: no, random: no, overall: no }, { samples: false, packs: true })).toBe('sampled')
})
