import assert from 'node:assert/strict'
import { type Behaviour, behaviour } from './behaviour.ts'
import type { Feature, Platform } from './platform.ts'
import type { Relay } from './relay.ts'
import { ratings, reviews, v1, v2 } from './samples.ts'
import { UnderTest } from './under-test.ts'

const network: readonly Feature[] = ['network']

/** A registry is opened while the way to the platform is as `before` makes it. */
function openedWhile(before: (relay: Relay) => void, run: (it: UnderTest) => Promise<void>) {
  return async (platform: Platform, latencies: number[]): Promise<void> => {
    const it = await UnderTest.open(platform, [reviews(v1)], latencies, before)
    await run(it).finally(() => it.close())
  }
}

/** The registry says that it has a problem, and has what it had. */
async function holdsOn(it: UnderTest): Promise<void> {
  await it.until(() => it.registry.state.problem !== undefined, 'the registry to say that something is wrong')
  assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080'])
}

/** The registry is well, and has the second endpoint. */
async function recovers(it: UnderTest): Promise<void> {
  await it.until(() => it.places('reviews').length === 2, 'what changed meanwhile')
  await it.until(() => it.registry.state.problem === undefined, 'the registry to be well')
}

/** Watches that the model never loses `reviews`. */
function neverEmpty(it: UnderTest): () => void {
  let lost = 0
  const stop = it.snapshots.subscribe(() => void (it.places('reviews').length === 0 && lost++))
  return () => {
    stop()
    assert.equal(lost, 0, 'snapshots without any endpoint of reviews')
  }
}

/** How it stands a platform, or a way to it, that fails. */
export const faults: readonly Behaviour[] = [
  behaviour(
    'while the platform is away its last answer stays and it says so; on return it has what changed',
    [reviews(v1), ratings],
    async (it) => {
      const check = neverEmpty(it)
      it.wire.refuse()
      await holdsOn(it)
      await it.platform.set([reviews(v1, v2)])
      it.wire.restore()
      await recovers(it)
      await it.until(() => it.service('ratings') === undefined, 'the service that went meanwhile to be gone')
      check()
    },
    network,
  ),

  behaviour(
    'a platform that is away is not hammered',
    [reviews(v1)],
    async (it) => {
      const before = it.wire.tried
      it.wire.refuse()
      await holdsOn(it)
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      assert.ok(it.wire.tried - before <= 20, `${it.wire.tried - before} connections tried in 1.5 s`)
      it.wire.restore()
      await it.platform.set([reviews(v1, v2)])
      await recovers(it)
    },
    network,
  ),

  behaviour(
    'connections that are cut are made again, and nothing is lost between',
    [reviews(v1)],
    async (it) => {
      const check = neverEmpty(it)
      it.wire.cut()
      await it.platform.set([reviews(v1, v2)])
      await it.until(() => it.places('reviews').length === 2, 'what changed at the same time')
      it.wire.cut()
      await it.platform.set([reviews(v1, { ...v2, address: '10.0.0.9' })])
      await it.until(() => it.places('reviews').includes('10.0.0.9:9081'), 'what changed after another cut')
      check()
    },
    network,
  ),

  behaviour(
    'an answer that is cut off in the middle is no answer',
    [reviews(v1)],
    async (it) => {
      const check = neverEmpty(it)
      it.wire.cutAfter(40)
      await it.platform.set([reviews(v1, v2)])
      await it.until(() => it.places('reviews').length === 2, 'the whole answer')
      check()
    },
    network,
  ),

  behaviour(
    'a way that is slow is no outage',
    [reviews(v1)],
    async (it) => {
      it.wire.slow(150)
      await it.platform.set([reviews(v1, v2)])
      await it.until(() => it.places('reviews').length === 2, 'the change')
      assert.equal(it.registry.state.problem, undefined)
      it.wire.restore()
    },
    network,
  ),

  behaviour(
    'answers that were held up are taken when they come',
    [reviews(v1)],
    async (it) => {
      const check = neverEmpty(it)
      it.wire.hold()
      await it.platform.set([reviews(v1, v2)])
      assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080'])
      it.wire.restore()
      await it.until(() => it.places('reviews').length === 2, 'the change')
      check()
    },
    network,
  ),

  ...(
    [
      [
        'rubbish',
        'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-consul-index: 1\r\nx-nomad-index: 1\r\ncontent-length: 8\r\n\r\n{"a": [}',
      ],
      ['no HTTP at all', 'SSH-2.0-hello\r\n'],
      ['the wrong kind of JSON', 'HTTP/1.1 200 OK\r\nx-consul-index: 1\r\nx-nomad-index: 1\r\ncontent-length: 2\r\n\r\n42'],
      ['status 500', 'HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops'],
      ['status 429', 'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n'],
      ['status 403', 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'],
    ] as const
  ).map(([what, text]) =>
    behaviour(
      `where answers are ${what} its last good one stays and it says so`,
      [reviews(v1)],
      async (it) => {
        const check = neverEmpty(it)
        it.wire.answer(text)
        await holdsOn(it)
        it.wire.restore()
        await it.platform.set([reviews(v1, v2)])
        await recovers(it)
        check()
      },
      network,
    ),
  ),

  {
    name: 'a platform that is not there yet is waited for',
    needs: network,
    run: openedWhile(
      (relay) => relay.refuse(),
      async (it) => {
        await it.until(() => it.registry.state.problem !== undefined, 'the registry to say that something is wrong')
        assert.equal(it.registry.state.synced, false)
        it.wire.restore()
        await it.until(() => it.registry.state.synced && it.places('reviews').length === 1, 'its first answer')
        await it.until(() => it.registry.state.problem === undefined, 'the registry to be well')
      },
    ),
  },

  {
    name: 'a registry may be closed before it has any answer',
    needs: network,
    run: openedWhile(
      (relay) => relay.hold(),
      async (it) => {
        await it.registry.close()
        assert.equal(it.registry.state.synced, false)
        await it.until(() => it.wire.open === 0, 'its connections to be closed')
      },
    ),
  },

  behaviour(
    'a platform that restarts is found again, and what it had is never lost from sight',
    [reviews(v1)],
    async (it) => {
      const check = neverEmpty(it)
      await it.platform.restart?.()
      await it.platform.set([reviews(v1, v2)])
      await recovers(it)
      check()
    },
    ['restart'],
  ),

  behaviour(
    'credentials that expire are told, the last answer stays, and new ones are taken',
    [reviews(v1)],
    async (it) => {
      await it.platform.credentials?.expire()
      await holdsOn(it)
      await it.platform.credentials?.renew()
      await it.platform.set([reviews(v1, v2)])
      await recovers(it)
    },
    ['credentials'],
  ),

  behaviour(
    'a platform that forgot its history is asked for all of it again',
    [reviews(v1), ratings],
    async (it) => {
      const check = neverEmpty(it)
      it.wire.refuse()
      await holdsOn(it)
      await it.platform.set([reviews(v1, v2)])
      await it.platform.forget?.()
      it.wire.restore()
      await recovers(it)
      await it.until(() => it.service('ratings') === undefined, 'what went meanwhile to be gone')
      await it.platform.set([reviews(v2)])
      await it.until(() => it.places('reviews').length === 1, 'a change after that')
      check()
    },
    ['history'],
  ),
]
