import { describe, expect, it } from 'vitest'
import { ResponseHead } from '../message.ts'
import { flag, frameType } from './frame.ts'
import { defaultHttp2Options } from './options.ts'
import type { Http2ServerStream } from './server-connection.ts'
import { settingId } from './settings.ts'
import { data, frame, get, headers, literals, post, respond, ServerUnderTest, uint32 } from './testing/raw-peer.ts'

const { endHeaders, endStream } = flag

describe('abuse ends the connection with ENHANCE_YOUR_CALM', () => {
  const calm = (server: ServerUnderTest) => server.frames().at(-1)
  const { budget } = defaultHttp2Options

  it('rapid reset, at half of the streams that are taken for granted', () => {
    const server = new ServerUnderTest().greet()
    const resets = budget.prematureResetStreams * budget.prematureResetShare
    for (let i = 0; i < resets; i++) {
      expect(server.closed).toBe(false)
      server.send(headers(2 * i + 1, get), frame(frameType.rstStream, 0, 2 * i + 1, uint32(8)))
    }
    expect(calm(server)).toMatch(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/)
  })

  it('more resets than are configured, however late they are, by INTERNAL_ERROR', () => {
    const server = new ServerUnderTest({ budget: { ...budget, resetBurst: 3, resetsPerSecond: 2 } }).greet()
    let id = 1
    const reset = (times: number): void => {
      for (let i = 0; i < times; i++, id += 2) server.send(headers(id, get), frame(frameType.rstStream, 0, id, uint32(8)))
    }
    reset(3)
    server.nowMs += 1000
    reset(2)
    // No more are saved up than may come at once.
    server.nowMs += 60_000
    reset(3)
    expect(server.closed).toBe(false)
    reset(1)
    expect(calm(server)).toMatch(/^GOAWAY \d+ INTERNAL_ERROR$/)
  })

  it('but whoever gives up what is answered in part, or has taken long, is not to blame', () => {
    const server = new ServerUnderTest().greet()
    const giveUp = (id: number, meanwhile: (stream: Http2ServerStream) => void): void => {
      server.send(headers(id, get))
      meanwhile(server.streams.get(id)!)
      server.send(frame(frameType.rstStream, 0, id, uint32(8)))
    }
    const response = new ResponseHead()
    response.status = 200
    for (let i = 0; i < 600; i++) giveUp(2 * i + 1, (stream) => stream.sendHead(response, false))
    for (let i = 600; i < 1200; i++) giveUp(2 * i + 1, () => (server.nowMs += budget.prematureResetMs))
    expect(server.closed).toBe(false)
    expect(server.connection.standing).not.toBe('fickle')
  })

  describe('and requests that are given up soon do not even begin', () => {
    const receive = ({ connection }: ServerUnderTest, ...frames: Buffer[]): void => {
      const bytes = Buffer.concat(frames)
      connection.receive(bytes, 0, bytes.length)
    }
    const givenUp = (from: number, count: number): Buffer =>
      Buffer.concat(
        Array.from({ length: count }, (_, i) => from + 2 * i).flatMap((id) => [
          headers(id, get),
          frame(frameType.rstStream, 0, id, uint32(8)),
        ]),
      )
    const taken = ({ events }: ServerUnderTest): string[] =>
      events.splice(0).filter((event) => / (head|data) /.test(event) || event === 'waiting')
    const always = { isOver: () => false }

    it('of a new peer when its bytes are taken', () => {
      const server = new ServerUnderTest({}, true).greet()
      receive(server, givenUp(1, 3), headers(7, post, endHeaders), data(7, 'a'), givenUp(9, 2), data(7, 'b', endStream))
      expect(taken(server)).toEqual(['7 head POST example.com/ ', '7 data a', '7 data b end'])
      // The deadline is over after the bytes, and what has not begun goes on when it is asked to.
      let asked = 0
      const bytes = Buffer.concat([headers(13, get), headers(15, get)])
      server.connection.receive(bytes, 0, bytes.length, { isOver: () => ++asked > 2 })
      expect(taken(server)).toEqual(['13 head GET example.com/  end', 'waiting'])
      expect(server.connection.goOn(always)).toBe(true)
      expect(taken(server)).toEqual(['15 head GET example.com/  end'])
    })

    it('of a new peer a few at once, the others in turns, and all when it is steady', () => {
      const server = new ServerUnderTest({}, true).greet()
      receive(server, ...Array.from({ length: 40 }, (_, i) => headers(2 * i + 1, get)))
      const heads = (from: number, count: number): string[] =>
        Array.from({ length: count }, (_, i) => `${from + 2 * i} head GET example.com/  end`)
      expect(taken(server)).toEqual([...heads(1, 8), 'waiting'])
      expect(server.connection.standing).toBe('fickle')
      // Of those that are given up meanwhile nobody hears.
      receive(server, ...Array.from({ length: 4 }, (_, i) => frame(frameType.rstStream, 0, 17 + 2 * i, uint32(8))))
      taken(server)
      expect(server.connection.goOn(always)).toBe(false)
      expect(taken(server)).toEqual(heads(25, 8))
      for (let id = 1; id < 17; id += 2) respond(server.streams.get(id)!, 200, '')
      expect(server.connection.goOn(always)).toBe(true)
      expect(taken(server)).toEqual(heads(41, 20))
      expect(server.connection.standing).toBe('steady')
    })

    it('of a new peer that reads none of its answers, in turns but for a few', () => {
      const server = new ServerUnderTest({}, true).greet([settingId.initialWindowSize, 0])
      server.onComplete = (stream) => respond(stream, 200, 'large')
      for (let id = 1; id < 17; id += 2) receive(server, headers(id, get))
      expect(taken(server)).toHaveLength(8)
      receive(server, headers(17, get))
      expect(taken(server)).toEqual(['waiting'])
      expect(server.connection.standing).toBe('fickle')
      expect(server.connection.goOn(always)).toBe(true)
      expect(taken(server)).toEqual(['17 head GET example.com/  end'])
      // Once it reads, it is like any other.
      receive(server, ...Array.from({ length: 8 }, (_, i) => frame(frameType.windowUpdate, 0, 2 * i + 1, uint32(100))))
      receive(server, headers(19, get))
      expect(taken(server)).toEqual(['19 head GET example.com/  end'])
    })

    it('of one that was steady and stops reading, after a moment', () => {
      const server = new ServerUnderTest({}, true).greet([settingId.initialWindowSize, 5])
      server.onComplete = (stream) => respond(stream, 200, 'small')
      for (let id = 1; id < 17; id += 2) receive(server, headers(id, get))
      expect(server.connection.standing).toBe('steady')
      server.onComplete = (stream) => {
        const response = new ResponseHead()
        response.status = 200
        stream.sendHead(response, false)
        stream.sendData(Buffer.from('too large'), 0, 9, false)
      }
      receive(server, ...Array.from({ length: 9 }, (_, i) => headers(17 + 2 * i, get)))
      taken(server)
      receive(server, headers(35, get))
      expect(taken(server)).toEqual(['35 head GET example.com/  end'])
      server.nowMs += 100
      receive(server, headers(37, get))
      expect(taken(server)).toEqual(['waiting'])
      expect(server.connection.goOn(always)).toBe(true)
      expect(taken(server)).toEqual(['37 head GET example.com/  end'])
      receive(server, ...Array.from({ length: 10 }, (_, i) => frame(frameType.windowUpdate, 0, 17 + 2 * i, uint32(100))))
      receive(server, headers(39, get))
      expect(taken(server)).toEqual(['39 head GET example.com/  end'])
    })

    it('of one that was steady until its next turn', () => {
      const server = new ServerUnderTest({}, true).greet()
      server.onComplete = (stream) => respond(stream, 200, '')
      for (let id = 1; id < 17; id += 2) receive(server, headers(id, get))
      expect(server.connection.standing).toBe('steady')
      server.onComplete = () => {}
      taken(server)
      receive(server, givenUp(17, 20))
      expect(server.connection.standing).toBe('fickle')
      expect(taken(server).filter((event) => event !== 'waiting')).toHaveLength(9)
      expect(server.connection.goOn(always)).toBe(true)
      expect(taken(server)).toEqual([])
      // The others begin in turns, and have what came of their bodies meanwhile.
      receive(server, headers(57, post, endHeaders), data(57, 'a'), givenUp(59, 2), data(57, 'b', endStream), headers(63, get))
      expect(taken(server)).toEqual(['waiting'])
      let asked = 0
      expect(server.connection.goOn({ isOver: () => ++asked > 1 })).toBe(false)
      expect(server.connection.goOn(always)).toBe(true)
      expect(taken(server)).toEqual(['57 head POST example.com/ ', '57 data a', '57 data b end', '63 head GET example.com/  end'])
    })

    it('and who becomes steady does not wait any more', () => {
      const server = new ServerUnderTest({}, true).greet()
      receive(server, givenUp(1, 20))
      expect(server.connection.standing).toBe('fickle')
      server.onComplete = (stream) => respond(stream, 200, '')
      for (let id = 49; id < 600; id += 2) {
        receive(server, headers(id, get))
        server.connection.goOn(always)
      }
      taken(server)
      receive(server, headers(601, get))
      expect(taken(server)).toEqual(['601 head GET example.com/  end'])
    })
  })

  it('but resets among many answered requests are let be', () => {
    const server = new ServerUnderTest().greet()
    server.onComplete = (stream) => {
      if (stream.id % 3 !== 0) respond(stream, 200, 'x')
    }
    for (let id = 1; id < 6000 && !server.closed; id += 2) {
      server.send(headers(id, get))
      if (id % 3 === 0) server.send(frame(frameType.rstStream, 0, id, uint32(8)))
      server.send(frame(frameType.windowUpdate, 0, 0, uint32(10)))
    }
    expect(server.closed).toBe(false)
  })

  it('requests that make the server reset them', () => {
    const server = new ServerUnderTest().greet()
    for (let i = 0; i <= budget.prematureResetStreams && !server.closed; i++) {
      server.send(headers(2 * i + 1, post, endHeaders), frame(frameType.windowUpdate, 0, 2 * i + 1, uint32(0)))
    }
    expect(calm(server)).toMatch(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/)
  })

  it('CONTINUATION without end', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, get, 0))
    for (let i = 0; i < 100 && !server.closed; i++) server.send(frame(frameType.continuation, 0, 1, literals(['a', 'b'])))
    expect(calm(server)).toBe('GOAWAY 1 ENHANCE_YOUR_CALM')
    const large = new ServerUnderTest().greet()
    large.send(headers(1, get, 0))
    for (let i = 0; i < 6 && !large.closed; i++) large.send(frame(frameType.continuation, 0, 1, Buffer.alloc(16000, 0x82)))
    expect(calm(large)).toBe('GOAWAY 1 ENHANCE_YOUR_CALM')
  })

  it('empty frames', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, post, endHeaders), data(1, ''))
    expect(server.closed).toBe(false)
    server.send(data(1, ''))
    expect(calm(server)).toMatch(/^GOAWAY 1 ENHANCE_YOUR_CALM$/)
  })

  it('PING and SETTINGS whose answers the peer does not read', () => {
    for (const one of [frame(frameType.ping, 0, 0, '12345678'), frame(frameType.settings, 0, 0)]) {
      const server = new ServerUnderTest().greet()
      server.sink.congested = true
      for (let i = 0; i <= budget.maxOutboundControlFrames && !server.closed; i++) server.send(one)
      expect(calm(server)).toMatch(/^GOAWAY 0 ENHANCE_YOUR_CALM$/)
    }
  })

  it('PING, PRIORITY, unknown frames and window updates by the thousand', () => {
    const priority = Buffer.concat([uint32(0), Buffer.from([16])])
    const floods = [
      frame(frameType.ping, 0, 0, '12345678'),
      frame(frameType.priority, 0, 1, priority),
      frame(99, 0, 0),
      frame(frameType.windowUpdate, 0, 0, uint32(1)),
    ]
    for (const one of floods) {
      const server = new ServerUnderTest().greet()
      for (let i = 0; i <= budget.maxControlFramesPerSecond && !server.closed; i++) server.send(one)
      expect(calm(server)).toMatch(/^GOAWAY 0 ENHANCE_YOUR_CALM$/)
    }
  })

  describe('a block that unpacks to more than any head', () => {
    const entry = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from('a'),
      Buffer.from([0x7f, 0xbd, 0x1d]),
      Buffer.alloc(3900, 'x'),
    ])
    const bomb = (...behind: number[]): Buffer =>
      frame(frameType.headers, 5, 1, Buffer.concat([literals(...get), entry, Buffer.alloc(12000, 0xbe), Buffer.from(behind)]))

    it('is refused, and what it adds to the table counts', () => {
      // Behind the bomb x: y becomes the newest entry, which the next request asks for.
      const server = new ServerUnderTest().greet().send(bomb(0x82, 0x40, 1, 120, 1, 121, 0xbe))
      expect(server.events).toContain('1 reset refused-stream: http2.header_list_size_too_large')
      server.send(frame(frameType.headers, 5, 3, Buffer.concat([literals(...get), Buffer.from([0xbe])])))
      expect(server.events.at(-1)).toBe('3 head GET example.com/ x=y end')
    })

    it.each([
      ['index 0', [0x80]],
      ['an index that nothing has', [0xbf]],
      ['the same in two bytes', [0xff, 0]],
      ['an index that is not whole', [0xff]],
    ])('breaks the connection where there is %s behind', (_, behind) => {
      expect(
        new ServerUnderTest()
          .greet()
          .send(bomb(...behind))
          .frames()
          .at(-1),
      ).toBe('GOAWAY 1 COMPRESSION_ERROR')
    })
  })

  it('a peer that leaves its window at zero loses the stream, not more', () => {
    const server = new ServerUnderTest({ stallTimeoutMs: 5000 }).greet([settingId.initialWindowSize, 0])
    server.send(headers(1, get))
    respond(server.streams.get(1)!, 200, 'body')
    server.frames()
    server.nowMs += 4000
    server.connection.tick()
    expect(server.frames()).toEqual([])
    server.nowMs += 2000
    server.connection.tick()
    expect(server.frames()).toEqual(['RST_STREAM 1 INTERNAL_ERROR'])
    expect(server.closed).toBe(false)
  })
})
