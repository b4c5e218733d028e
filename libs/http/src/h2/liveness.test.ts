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
})
