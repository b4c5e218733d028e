import { describe, expect, it } from 'vitest'
import { flag, frameType } from './frame.ts'
import { defaultHttp2Options } from './options.ts'
import { frame, get, headers, respond, ServerUnderTest } from './testing/raw-peer.ts'

describe('the end of a connection', () => {
  it('drains in two steps: no request is lost', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, get))
    server.connection.drain()
    expect(server.frames()).toEqual(['GOAWAY 2147483647 NO_ERROR'])
    server.send(headers(3, get))
    server.connection.tick()
    expect(server.frames()).toEqual([])
    server.nowMs += defaultHttp2Options.drainNoticeMs
    server.connection.tick()
    expect(server.frames()).toEqual(['GOAWAY 3 NO_ERROR'])
    server.send(headers(5, get))
    expect(server.streams.has(5)).toBe(false)
    respond(server.streams.get(1)!, 200, '')
    expect(server.closed).toBe(false)
    respond(server.streams.get(3)!, 200, '')
    expect(server.closed).toBe(true)
  })

  it('pings a silent peer, and gives up one that does not answer', () => {
    const server = new ServerUnderTest({ keepalive: { intervalMs: 10_000, timeoutMs: 3000 }, settingsTimeoutMs: 0 }).greet()
    server.send(headers(1, get))
    server.connection.tick()
    server.nowMs += 10_000
    server.connection.tick()
    expect(server.frames()).toEqual(['PING weft-you'])
    server.send(frame(frameType.ping, flag.ack, 0, 'weft-you'))
    server.connection.tick()
    server.nowMs += 10_000
    server.connection.tick()
    server.nowMs += 3000
    server.connection.tick()
    expect(server.frames()).toEqual(['PING weft-you', 'GOAWAY 1 NO_ERROR'])
    expect(server.events.at(-1)).toBe('1 reset connection-closed: keepalive timeout')
  })

  it('does not wait for ever until its settings are acknowledged', () => {
    const server = new ServerUnderTest({ settingsTimeoutMs: 1000 }).greet()
    server.nowMs += 1000
    server.connection.tick()
    expect(server.frames()).toEqual(['GOAWAY 0 SETTINGS_TIMEOUT'])
  })

  it('tells every request when the peer is gone', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, get), headers(3, get))
    server.connection.receiveEnd()
    expect(server.events.slice(2)).toEqual([
      '3 reset connection-closed: remote closed',
      '1 reset connection-closed: remote closed',
    ])
  })

  it('tells many of them in turns, so that other connections do not wait', () => {
    const server = new ServerUnderTest({}, true).greet()
    server.onComplete = (stream) => respond(stream, 200, '')
    for (let id = 1; id < 17; id += 2) server.send(headers(id, get))
    server.onComplete = () => {}
    server.send(...Array.from({ length: 20 }, (_, i) => headers(17 + 2 * i, get)))
    server.events.length = 0
    server.connection.receiveEnd()
    expect(server.events).toEqual(['waiting'])
    expect(server.connection.isIdle).toBe(true)
    // Nothing is sent any more, and nobody who answers is kept from it.
    server.frames()
    expect(respond(server.streams.get(17)!, 200, 'late')).toBe(true)
    expect(server.frames()).toEqual([])
    let asked = 0
    expect(server.connection.goOn({ isOver: () => ++asked > 2 })).toBe(false)
    expect(server.events).toEqual(['waiting', ...[55, 53, 51].map((id) => `${id} reset connection-closed: remote closed`)])
    expect(server.connection.goOn({ isOver: () => false })).toBe(true)
    expect(server.events.at(-1)).toBe('19 reset connection-closed: remote closed')
    expect(server.connection.goOn({ isOver: () => false })).toBe(true)
  })
})
