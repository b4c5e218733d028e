import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { WeftError } from '@weft/service/errors'
import { expect, onTestFinished, test, vi } from 'vitest'
import { PlatformClient } from '../platform-client.ts'
import { BlockingQuery } from './blocking-query.ts'

const patience = 10_000
/** A server that holds each query until the test answers it, and a query on it. */
async function held(consistency: 'stale' | 'default' = 'stale') {
  const asked: { query: URLSearchParams; response: ServerResponse }[] = []
  const server = createServer((request, response) => {
    asked.push({ query: new URL(request.url ?? '/', 'http://x').searchParams, response })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = new URL(`http://127.0.0.1:${address.port}`)
  const client = new PlatformClient({ platform: 'Consul', url, tokenHeader: 'x-consul-token', maxConnections: 4 })
  const answers: unknown[] = []
  const problems: (WeftError | undefined)[] = []
  const query = new BlockingQuery({
    client,
    path: '/v1/x',
    query: { dc: 'east' },
    consistency,
    onAnswer: ({ body }) => void answers.push(body),
    onProblem: (problem) => void problems.push(problem),
  })
  onTestFinished(() => void server.close())
  onTestFinished(() => void server.closeAllConnections())
  onTestFinished(() => query.close())
  return {
    asked,
    answers,
    problems,
    /** The nth query, from 0, when it has come. */
    async nth(n: number): Promise<URLSearchParams> {
      return vi.waitFor(() => {
        const { query: at } = asked[n] ?? {}
        if (at === undefined) throw new Error(`${asked.length} queries`)
        return at
      }, patience)
    },
    answer(n: number, index: string | undefined, body: unknown, status = 200): void {
      const headers = index === undefined ? {} : { 'x-consul-index': index }
      asked[n]?.response.writeHead(status, headers).end(JSON.stringify(body))
    },
  }
}

test('the first query makes sure of a leader, the next ones wait at the index of the last answer', async () => {
  const it = await held()
  expect(Object.fromEntries(await it.nth(0))).toEqual({ dc: 'east', consistent: '' })
  it.answer(0, '7', ['a'])
  expect(Object.fromEntries(await it.nth(1))).toEqual({ dc: 'east', stale: '', index: '7', wait: '300s' })
  it.answer(1, '9', ['a', 'b'])
  expect((await it.nth(2)).get('index')).toBe('9')
  expect(it.answers).toEqual([['a'], ['a', 'b']])
})

test('an answer with the same index is none: the wait was over', async () => {
  const it = await held()
  await it.nth(0)
  it.answer(0, '7', ['a'])
  await it.nth(1)
  it.answer(1, '7', ['a'])
  expect((await it.nth(2)).get('index')).toBe('7')
  expect(it.answers).toEqual([['a']])
})

test('an index that goes backwards begins anew, and the answer that came with it is not taken', async () => {
  const it = await held()
  await it.nth(0)
  it.answer(0, '70', ['a'])
  await it.nth(1)
  it.answer(1, '5', [])
  expect(Object.fromEntries(await it.nth(2))).toEqual({ dc: 'east', consistent: '' })
  expect(it.answers).toEqual([['a']])
  it.answer(2, '5', ['b'])
  await it.nth(3)
  expect(it.answers).toEqual([['a'], ['b']])
})

test('index 0 is asked for as 1, so that the next query waits', async () => {
  const it = await held()
  await it.nth(0)
  it.answer(0, '0', [])
  expect((await it.nth(1)).get('index')).toBe('1')
})

test('a failure is told with what Consul said, and the end of it', async () => {
  const it = await held()
  await it.nth(0)
  it.answer(0, undefined, 'No cluster leader', 500)
  await it.nth(1)
  expect(it.problems.map((problem) => problem?.message)).toEqual([expect.stringContaining('status 500: "No cluster leader"')])
  it.answer(1, '3', ['a'])
  await it.nth(2)
  expect(it.problems.at(-1)).toBeUndefined()
  expect(it.answers).toEqual([['a']])
})

test('what answers without an index is not Consul', async () => {
  const it = await held()
  await it.nth(0)
  it.answer(0, undefined, ['a'])
  await it.nth(1)
  expect(it.problems[0]?.message).toContain('without X-Consul-Index')
  expect(it.answers).toEqual([])
})
