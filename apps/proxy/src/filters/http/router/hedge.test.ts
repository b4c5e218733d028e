import type http from 'node:http'
import { describe, expect, it } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask, until } from '../../../testing/worker-harness.ts'

/** A worker whose tries may race, in front of an origin whose answers the test gives, in the order of the tries. */
async function racing(retries: number, timeoutMs = 15_000) {
  const answers: http.ServerResponse[] = []
  let given = 0
  const origin = await upstream((request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) given++
    })
    if (request.url === '/') answers.push(response)
  })
  const action = {
    timeout: { seconds: Math.floor(timeoutMs / 1000), nanos: (timeoutMs % 1000) * 1_000_000 },
    hedgePolicy: { hedgeOnPerTryTimeout: true },
    retryPolicy: {
      retryOn: '5xx',
      numRetries: retries,
      perTryTimeout: { seconds: 0, nanos: 50_000_000 },
      retryBackOff: { baseInterval: { seconds: 0, nanos: 1_000_000 } },
    },
  }
  const manager = connectionManager([routeTo('c', '/', action)])
  const proxy = await proxyTo(origin.port, manager)
  const tries = async (count: number): Promise<http.ServerResponse[]> => {
    await until(() => answers.length === count, `${count} tries`)
    return answers
  }
  const stat = (name: string) => proxy.stats.value(`cluster.c.${name}`) ?? 0
  return { asked: ask(proxy.port('in'), '/'), tries, stat, givenUp: () => given }
}

describe('tries that race', () => {
  it('have the first answer win, a later try too, and the others given up', async () => {
    const { asked, tries, stat, givenUp } = await racing(3)
    const [, , third] = await tries(3)
    third?.end('third')
    expect(await asked).toMatchObject({ status: 200, body: 'third' })
    await until(() => givenUp() >= 2, 'the other two to be given up')
    expect(stat('upstream_rq_per_try_timeout')).toBeGreaterThanOrEqual(2)
    await until(() => stat('upstream_rq_active') === 0, 'nothing to be under way')
  })

  it('have the one whose time was up win, when it answers first', async () => {
    const { asked, tries, stat } = await racing(1)
    const [first] = await tries(2)
    first?.end('first')
    expect(await asked).toMatchObject({ status: 200, body: 'first' })
    await until(() => stat('upstream_rq_active') === 0, 'nothing to be under way')
  })

  it('count that there are no more, though one may still answer', async () => {
    const { asked, tries, stat } = await racing(1)
    const [, second] = await tries(2)
    await until(() => stat('upstream_rq_retry_limit_exceeded') === 1, 'the time of the last to be up')
    second?.end('second')
    expect(await asked).toMatchObject({ status: 200, body: 'second' })
  })

  it('go on when one of those before answers with an error', async () => {
    const { asked, tries } = await racing(1)
    const [first, second] = await tries(2)
    if (first !== undefined) first.statusCode = 503
    first?.end('bad')
    second?.end('second')
    expect(await asked).toMatchObject({ status: 200, body: 'second' })
  })

  it('end when the whole time is up, though the last one goes on past its own', async () => {
    const { asked, tries, stat } = await racing(1, 400)
    await tries(2)
    expect(await asked).toMatchObject({ status: 504, body: 'upstream request timeout' })
    expect(stat('upstream_rq_per_try_timeout')).toBe(2)
    await until(() => stat('upstream_rq_active') === 0, 'nothing to be under way')
  })
})
