import { describe, expect, it } from 'vitest'
import { HeaderTable, headerName } from '../header-table.ts'
import { ResponseHead } from '../message.ts'
import { flag, frameType } from './frame.ts'
import { settingId } from './settings.ts'
import { data, frame, get, headers, post, respond, ServerUnderTest, settings, uint32 } from './testing/raw-peer.ts'

const { endHeaders } = flag

describe('flow control', () => {
  it('sends what the windows allow, and goes on when they are wider', () => {
    const server = new ServerUnderTest().greet([settingId.initialWindowSize, 10])
    server.send(headers(1, get))
    const stream = server.streams.get(1)!
    const response = new ResponseHead()
    response.status = 200
    stream.sendHead(response, false)
    expect(stream.sendData(Buffer.from('0123456789abcdef'), 0, 16, false)).toBe(false)
    expect(server.frames()).toEqual(['HEADERS 1 :status: 200', 'DATA 1 0123456789'])
    server.send(frame(frameType.windowUpdate, 0, 1, uint32(4)))
    expect(server.frames()).toEqual(['DATA 1 abcd'])
    expect(server.events).not.toContain('1 writable')
    server.send(frame(frameType.settings, 0, 0, settings([settingId.initialWindowSize, 30])))
    expect(server.frames()).toEqual(['SETTINGS ack', 'DATA 1 ef'])
    expect(server.events.at(-1)).toBe('1 writable')
    stream.sendData(Buffer.from('end'), 0, 3, true)
    expect(server.frames()).toEqual(['DATA 1 end end'])
  })

  it('a smaller window may go below zero, and is waited for', () => {
    const server = new ServerUnderTest().greet([settingId.initialWindowSize, 10])
    server.send(headers(1, get))
    const stream = server.streams.get(1)!
    respond(stream, 200, '0123456789abc')
    server.frames()
    server.send(frame(frameType.settings, 0, 0, settings([settingId.initialWindowSize, 5])))
    server.send(frame(frameType.windowUpdate, 0, 1, uint32(5)))
    expect(server.frames()).toEqual(['SETTINGS ack'])
    server.send(frame(frameType.windowUpdate, 0, 1, uint32(3)))
    expect(server.frames()).toEqual(['DATA 1 abc end'])
  })

  it('streams that wait for the connection window take turns', () => {
    const server = new ServerUnderTest().greet([settingId.initialWindowSize, 1 << 20])
    server.send(headers(1, get), headers(3, get))
    for (const id of [1, 3]) respond(server.streams.get(id)!, 200, 'x'.repeat(100_000))
    server.frames()
    server.send(frame(frameType.windowUpdate, 0, 0, uint32(4 * 16384)))
    const order = server.frames().map((line) => line.split(' ')[1])
    expect(order).toContain('1')
    expect(order.filter((id) => id === '3').length).toBeGreaterThanOrEqual(2)
  })

  it('gives the peer its window back as bytes are taken, not while the reader pauses', () => {
    const server = new ServerUnderTest({ initialStreamWindow: 65535, initialConnectionWindow: 65535 }).greet()
    server.send(headers(1, post, endHeaders))
    const stream = server.streams.get(1)!
    stream.pauseRequest()
    for (let i = 0; i < 4; i++) server.send(data(1, Buffer.alloc(16000)))
    expect(server.frames()).toEqual([])
    expect(server.events).toHaveLength(1)
    stream.resumeRequest()
    expect(server.events).toHaveLength(5)
    expect(server.frames()).toEqual(['WINDOW_UPDATE 0 48000', 'WINDOW_UPDATE 1 48000'])
  })

  it('gives the connection back what a stream that is given up had not taken', () => {
    const server = new ServerUnderTest({ initialStreamWindow: 65535, initialConnectionWindow: 65535 }).greet()
    server.send(headers(1, post, endHeaders))
    server.streams.get(1)!.pauseRequest()
    for (let i = 0; i < 3; i++) server.send(data(1, Buffer.alloc(16000)))
    server.streams.get(1)!.reset()
    server.send(data(1, 'late'))
    expect(server.frames()).toEqual(['RST_STREAM 1 INTERNAL_ERROR', 'WINDOW_UPDATE 0 48000'])
  })

  it('nothing but heads goes out while the peer does not read', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, get))
    server.sink.congested = true
    expect(respond(server.streams.get(1)!, 200, 'body')).toBe(false)
    expect(server.frames()).toEqual(['HEADERS 1 :status: 200'])
    server.sink.congested = false
    server.connection.writable()
    expect(server.frames()).toEqual(['DATA 1 body end'])
  })

  it('trailers wait behind the body', () => {
    const server = new ServerUnderTest().greet([settingId.initialWindowSize, 1])
    server.send(headers(1, get))
    const stream = server.streams.get(1)!
    const response = new ResponseHead()
    response.status = 200
    stream.sendHead(response, false)
    stream.sendData(Buffer.from('ab'), 0, 2, false)
    const trailers = new HeaderTable()
    trailers.append(headerName('grpc-status'), '0')
    stream.sendTrailers(trailers)
    trailers.clear()
    expect(server.frames()).toEqual(['HEADERS 1 :status: 200', 'DATA 1 a'])
    server.send(frame(frameType.windowUpdate, 0, 1, uint32(10)))
    expect(server.frames()).toEqual(['DATA 1 b', 'HEADERS 1 grpc-status: 0 end'])
  })
})

describe('a peer that does not read the end', () => {
  it.each([
    ['may take as long as is configured', null, 1000],
    ['may take as long as its stream is given', 3000, 3000],
    ['may take any time', 0, 0],
  ])('%s', (_what, own, limitMs) => {
    const server = new ServerUnderTest({ stallTimeoutMs: 60_000, flushTimeoutMs: 1000 }).greet([settingId.initialWindowSize, 0])
    server.send(headers(1, get))
    const stream = server.streams.get(1)!
    if (own !== null) stream.limitFlush(own)
    respond(stream, 200, 'body')
    server.frames()
    server.nowMs += limitMs === 0 ? 20_000 : limitMs - 100
    server.connection.tick()
    expect(server.frames()).toEqual([])
    server.nowMs += 200
    server.connection.tick()
    expect(server.frames()).toEqual(limitMs === 0 ? [] : ['RST_STREAM 1 INTERNAL_ERROR'])
  })
})
