import type { Problem } from '@weft/config/problem'
import { expect, test } from 'vitest'
import { statusWith, type Verdict } from './object-status.ts'

const now = new Date('2026-05-01T10:00:00.000Z')
const later = new Date('2026-05-01T11:00:00.000Z')
const good: Verdict = { generation: 3, problems: [], proxies: { settled: 2, total: 2 }, refusals: [] }
const problem: Problem = { severity: 'error', message: 'bad duration "5"', file: 'f', line: 1, path: 'spec.http[0].timeout' }

test('an object that all proxies have is reconciled, with its generation', () => {
  expect(statusWith({}, good, now)).toEqual({
    observedGeneration: 3,
    conditions: [
      {
        type: 'Reconciled',
        status: 'True',
        reason: 'Accepted',
        message: '2/2 proxies up to date',
        observedGeneration: 3,
        lastTransitionTime: '2026-05-01T10:00:00Z',
      },
    ],
    validationMessages: null,
  })
})

test('a refused one says what is wrong where; a rejected one what the proxy said', () => {
  const refused = statusWith({}, { ...good, problems: [problem] }, now)
  expect(refused).toMatchObject({
    conditions: [
      { status: 'False', reason: 'Invalid', message: expect.stringContaining('spec.http[0].timeout: bad duration "5"') },
    ],
    validationMessages: [{ level: 'ERROR', type: { code: 'IST0106' } }],
  })
  const rejected = statusWith({}, { ...good, refusals: ['sidecar~1: no such filter'] }, now)
  expect(rejected).toMatchObject({
    conditions: [{ status: 'False', reason: 'Rejected', message: '1 proxies refused it: sidecar~1: no such filter' }],
  })
})

test('nothing is said twice, nor only because there are more proxies', () => {
  const status = statusWith({}, good, now) ?? {}
  const { validationMessages: _, ...kept } = status
  expect(statusWith(kept, good, later)).toBeUndefined()
  expect(statusWith(kept, { ...good, proxies: { settled: 5, total: 7 } }, later)).toBeUndefined()
  expect(statusWith(kept, { ...good, generation: 4 }, later)).toMatchObject({
    conditions: [{ observedGeneration: 4, lastTransitionTime: '2026-05-01T10:00:00Z' }],
  })
  expect(statusWith(kept, { ...good, problems: [problem] }, later)).toMatchObject({
    conditions: [{ status: 'False', lastTransitionTime: '2026-05-01T11:00:00Z' }],
  })
})

test("others' conditions stay", () => {
  const healthy = { type: 'Healthy', status: 'True' }
  expect(statusWith({ conditions: [healthy] }, good, now)).toMatchObject({ conditions: [healthy, { type: 'Reconciled' }] })
})
