import { bagOf } from '@weft/attributes/bag'
import { manifestOf } from '@weft/attributes/manifest'
import { TrackedBag } from '@weft/attributes/references'
import { compilePredicate } from '@weft/expressions/expression'
import { createLogger } from '@weft/service/logger'
import { Registry } from '@weft/service/metrics'
import { describe, expect, it } from 'vitest'
import { allow, deny } from '../adapter.ts'
import { Exposition } from '../adapters/prometheus/exposition.ts'
import { check } from './check.ts'
import { demandOf } from './destination-index.ts'
import type { LiveHandler } from './handler.ts'
import { DispatchMetrics } from './metrics.ts'
import type { CheckHandle, CheckRule, Plan, PlannedRule, QuotaHandle } from './plan.ts'
import { allocate } from './quota.ts'
import { RuleSet } from './rule-set.ts'

const manifest = manifestOf({
  'destination.service.host': 'STRING',
  'destination.labels': 'STRING_MAP',
  'destination.namespace': 'STRING',
  'request.path': 'STRING',
})

function handler(options: Partial<LiveHandler> = {}): LiveHandler {
  const open = { handles: new Map(), close: async () => {} }
  return { name: 'h.test.default', adapter: 'test', open, onError: 'allow', deadlineMs: 50, inFlight: 0, ...options }
}

const instances = [{ name: 'i.checknothing.default', shortName: 'i', build: () => ({ name: 'i.checknothing.default' }) }]

function rule(name: string, handle: CheckHandle, live = handler(), match?: string): CheckRule {
  const actions = [{ handler: live, handle, instances }]
  return {
    name,
    match: match === undefined ? undefined : compilePredicate(match, manifest),
    actions,
    requestHeaders: [],
    responseHeaders: [],
  }
}

function planOf(rules: CheckRule[], quotas: PlannedRule<QuotaHandle>[] = []): Plan {
  const place = <Rule>(one: Rule) => ({ namespace: 'istio-system', demand: undefined, rule: one })
  return {
    check: new RuleSet(rules.map(place)),
    quota: new RuleSet(quotas.map(place)),
    report: new RuleSet([]),
    attributes: new RuleSet([]),
  }
}

function measured() {
  const registry = new Registry()
  const exposition = new Exposition()
  const metrics = new DispatchMetrics(registry, exposition, createLogger('test', 'silent'))
  return { metrics, text: async () => (await registry.metrics()) + exposition.text() }
}

describe('a check', () => {
  it('combines verdicts: the first denial counts, all are told, validities are the least', async () => {
    const plan = planOf([
      rule('one', () => allow({ validDurationMs: 4_000, validUseCount: 50 })),
      rule('two', async () => deny('not you', { code: 'UNAUTHENTICATED', validUseCount: 7, directResponse: { code: 418 } })),
      rule('three', () => false),
      rule('four', () => undefined),
    ])
    expect(await check(plan, bagOf({}), 1_000, measured().metrics)).toEqual({
      code: 16,
      message: 'two/h.test.default: not you, three/h.test.default: denied',
      validDurationMs: 4_000,
      validUseCount: 7,
      directResponse: { code: 418 },
      requestHeaders: [],
      responseHeaders: [],
    })
  })

  it('answers without a promise when all handlers do', () => {
    expect(check(planOf([rule('one', () => true)]), bagOf({}), 1_000, measured().metrics)).toMatchObject({ code: 0 })
  })

  const failures: [string, CheckHandle][] = [
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['rejects', async () => Promise.reject(new Error('broken'))],
    ['never answers', () => new Promise<undefined>(() => {})],
    ['answers with what is no verdict', () => JSON.parse('{ "allowed": true }')],
  ]
  it.each(failures)('goes on when a handler %s, counts it, and decides as the handler is set to', async (_, handle) => {
    const { metrics, text } = measured()
    const open = await check(planOf([rule('one', handle)]), bagOf({}), 1_000, metrics)
    expect(open).toMatchObject({ code: 0, validDurationMs: 1_000 })
    const closed = await check(planOf([rule('one', handle, handler({ onError: 'deny' }))]), bagOf({}), 1_000, metrics)
    expect(closed).toMatchObject({ code: 14, message: expect.stringContaining('one/h.test.default: ') })
    expect(await text()).toMatch(
      /mixer_handler_errors_total\{handler="h\.test\.default",adapter="test",code="(internal|deadline_exceeded)"\} 2/,
    )
  })

  it('tells a handler that looks when its time is over', async () => {
    let aborted = false
    const handle: CheckHandle = (_, call) => {
      call.signal.addEventListener('abort', () => {
        aborted = true
      })
      return new Promise(() => {})
    }
    await check(planOf([rule('one', handle)]), bagOf({}), 1_000, measured().metrics)
    expect(aborted).toBe(true)
  })

  it('takes a match that cannot be told as false, and counts it', async () => {
    const { metrics, text } = measured()
    const plan = planOf([rule('one', () => false, handler(), 'request.path == "/"')])
    expect(await check(plan, bagOf({}), 1_000, metrics)).toMatchObject({ code: 0 })
    expect(await check(plan, bagOf({ 'request.path': '/' }), 1_000, metrics)).toMatchObject({ code: 7 })
    expect(await text()).toContain('mixer_rule_match_errors_total{rule="one"} 1')
  })

  it('refuses calls of a handler that has too many under way', async () => {
    const busy = handler({ inFlight: 10_000, onError: 'deny' })
    expect(await check(planOf([rule('one', () => true, busy)]), bagOf({}), 1_000, measured().metrics)).toMatchObject({ code: 14 })
  })
})

describe('a quota', () => {
  const quota = (name: string, amount: number, validDurationMs: number): PlannedRule<QuotaHandle> => ({
    name,
    match: undefined,
    actions: [
      {
        handler: handler(),
        handle: () => ({ amount, validDurationMs }),
        instances: [{ ...instances[0]!, shortName: 'requests' }],
      },
    ],
  })
  const request = { name: 'requests', amount: 9, bestEffort: true, dedupId: '' }

  it('that several rules count is granted as the strictest does', async () => {
    const plan = planOf([], [quota('one', 9, 5_000), quota('two', 4, 0)])
    expect(await allocate(plan, bagOf({}), request, 1_000, measured().metrics)).toEqual({ amount: 4, validDurationMs: 5_000 })
  })

  it.each([
    ['allow', 9],
    ['deny', 0],
  ] as const)('of a handler that fails is granted as it is set to: %s', async (onError, amount) => {
    const failing = quota('one', 0, 0)
    const handle: QuotaHandle = async () => Promise.reject(new Error('Redis is gone'))
    const plan = planOf(
      [],
      [{ ...failing, actions: failing.actions.map((action) => ({ ...action, handle, handler: handler({ onError }) })) }],
    )
    expect(await allocate(plan, bagOf({}), request, 1_000, measured().metrics)).toEqual({ amount, validDurationMs: 1_000 })
  })
})

describe('rules by destination', () => {
  it.each([
    ['destination.service.host == "a"', { attribute: 'destination.service.host', key: undefined, value: 'a' }],
    ['request.path == "/" && "a" == destination.labels["app"]', { attribute: 'destination.labels', key: 'app', value: 'a' }],
    [
      'destination.namespace == "n" && destination.service.host == "a"',
      { attribute: 'destination.service.host', key: undefined, value: 'a' },
    ],
    ['destination.service.host == "a" || request.path == "/"', undefined],
    ['(destination.labels["app"] | "a") == "a"', undefined],
    ['destination.service.host != "a"', undefined],
    ['request.path == "/"', undefined],
  ])('%s demands %j', (match, demand) => {
    expect(demandOf(match)).toEqual(demand)
  })

  it('meet only requests that can match, in their order, and tell what was asked', () => {
    const named = (name: string, match: string | undefined, namespace = 'istio-system') => ({
      namespace,
      demand: match === undefined ? undefined : demandOf(match),
      rule: name,
    })
    const many = Array.from({ length: 1_000 }, (_, index) => named(`r${index}`, `destination.service.host == "s${index}"`))
    const rules = new RuleSet([
      ...many,
      named('all', undefined),
      named('app', 'destination.labels["app"] == "x"'),
      named('local', undefined, 'shop'),
    ])
    const bag = new TrackedBag(
      bagOf({ 'destination.service.host': 's7.shop.svc', 'destination.labels': new Map([['app', 'x']]) }),
    )
    expect(rules.candidates(bag)).toEqual(['all', 'app', 'local'])
    expect(rules.candidates(bagOf({ 'destination.service.host': 's7' }))).toEqual(['r7', 'all'])
    expect(
      bag
        .references()
        .map(({ name, key }) => `${name}${key === undefined ? '' : `[${key}]`}`)
        .sort(),
    ).toEqual(['destination.labels[app]', 'destination.namespace', 'destination.service.host', 'destination.service.namespace'])
  })
})
