import { HeaderTable } from '@weft/http/header-table'
import { RequestHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { monotonicMs } from '../../../transport/clock.ts'
import type { TerminalFilter } from '../terminal-filter.ts'
import { FakeExchange } from './fake-exchange.ts'
import { MirroredExchange } from './mirrored-exchange.ts'
import { mirroredRoute } from './mirrored-route.ts'

/** A copy, and what its router was told. */
function mirrored(onTimer: (copy: MirroredExchange) => void = () => undefined) {
  const told: string[] = []
  const origin = new FakeExchange()
  const router: TerminalFilter = {
    started: true,
    clusterName: 'c',
    clusterMetadata: null,
    choiceConfigs: null,
    nextDeadline: Number.POSITIVE_INFINITY,
    prepare: (route) => told.push(`prepare ${route?.cluster}`),
    start: (endStream) => told.push(endStream ? 'start, all' : 'start'),
    data: (_buffer, start, end, endStream) => told.push(`data ${end - start}${endStream ? ', last' : ''}`),
    trailers: () => told.push('trailers'),
    editResponse: () => undefined,
    onTimer() {
      told.push('timer')
      onTimer(copy)
      return true
    },
    pauseResponse: () => undefined,
    resumeResponse: () => undefined,
    cancel: () => told.push('cancel'),
    end: () => told.push('end'),
  }
  const copy: MirroredExchange = new MirroredExchange(
    new RequestHead(),
    mirroredRoute('c', 0, 1024),
    '',
    origin.downstream,
    () => router,
  )
  const send = (size: number, endStream = false) => copy.data(Buffer.alloc(size), 0, size, endStream)
  return { copy, told, origin, send }
}

const begun = ['prepare c', 'start']
const givenUp = ['cancel', 'end']

it('is over with its answer, and hears of nothing from then on', () => {
  const { copy, told, send } = mirrored()
  copy.start(false)
  copy.respond(false)
  copy.respondData(Buffer.alloc(1), 0, 1, false)
  expect({ done: copy.done, told }).toEqual({ done: false, told: begun })
  copy.respondTrailers()
  send(1)
  copy.trailers(new HeaderTable())
  copy.leave()
  expect({ done: copy.done, told }).toEqual({ done: true, told: [...begun, 'end'] })
})

it('is over with an answer of its own router', () => {
  const { copy, told } = mirrored()
  copy.start(true)
  copy.reply()
  copy.reply()
  expect({ done: copy.done, told }).toEqual({ done: true, told: ['prepare c', 'start, all', ...givenUp] })
})

it('goes on when its request leaves, if that was complete', () => {
  const whole = mirrored()
  whole.copy.start(false)
  whole.send(3, true)
  whole.copy.leave()
  expect(whole.told).toEqual([...begun, 'data 3, last'])
  const withTrailers = mirrored()
  withTrailers.copy.start(false)
  withTrailers.copy.trailers(new HeaderTable())
  withTrailers.copy.leave()
  expect(withTrailers.told).toEqual([...begun, 'trailers'])
  const part = mirrored()
  part.copy.start(false)
  part.send(3)
  part.copy.leave()
  expect(part.told).toEqual([...begun, 'data 3', ...givenUp])
})

it('is given up when it falls too far behind its request, which it never stops', () => {
  const { copy, told, send } = mirrored()
  const half = 512 * 1024
  copy.start(false)
  send(4 * half)
  copy.pauseRequest()
  send(half)
  send(half)
  copy.resumeRequest()
  copy.pauseRequest()
  send(half)
  send(half)
  expect(copy.done).toBe(false)
  send(1)
  expect(copy.done).toBe(true)
  expect(told.slice(-3)).toEqual([`data ${half}`, ...givenUp])
})

it('has its router look at time limits as long as it goes on', () => {
  const { copy, told, origin } = mirrored((one) => one.reply())
  copy.start(true)
  copy.watch(monotonicMs() + 200)
  copy.watch(monotonicMs() + 100)
  origin.pass(150)
  expect(told.slice(2)).toEqual(['timer', ...givenUp])
  const ended = mirrored()
  ended.copy.start(true)
  ended.copy.watch(monotonicMs() + 100)
  ended.copy.respond(true)
  ended.origin.pass(150)
  expect(ended.told.slice(2)).toEqual(['end'])
})

it('has a thread, and no client', () => {
  const { copy, origin } = mirrored()
  expect(copy.connection).toMatchObject({ remoteAddress: '', remotePort: 0 })
  expect(copy.downstream.timers).toBe(origin.downstream.timers)
  expect(copy.downstream.routeTable(copy.request)).toBeNull()
  expect(copy.downstream.cluster('none')).toBeUndefined()
})
