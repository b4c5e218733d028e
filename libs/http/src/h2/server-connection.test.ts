import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeaderTable, headerName } from '../header-table.ts'
import { ResponseHead } from '../message.ts'
import { clientPreface, flag, frameType } from './frame.ts'
import { settingId } from './settings.ts'
import { data, frame, get, headers, literals, post, respond, ServerUnderTest, settings, uint32 } from './testing/raw-peer.ts'

const { endHeaders, endStream } = flag

describe('bytes', () => {
  it('that came when the deadline was over are left, and go on where they were left', () => {
    const ids = Array.from({ length: 12 }, (_, i) => i * 2 + 1)
    const bytes = Buffer.concat(ids.map((id) => Buffer.concat([headers(id, [...post], endHeaders), data(id, 'x', endStream)])))
    const server = new ServerUnderTest().greet()
    let asked = 0
    // It is over at every other look.
    const deadline = { isOver: () => ++asked % 2 === 0 }
    let turns = 0
    for (let at = 0; at < bytes.length; turns++) at = server.connection.receive(bytes, at, bytes.length, deadline)
    expect(turns).toBeGreaterThan(2)
    expect(server.events).toEqual(ids.flatMap((id) => [`${id} head POST example.com/ `, `${id} data x end`]))
    expect(server.connection.receive(bytes, 0, bytes.length, { isOver: () => true })).toBe(0)
  })
})

describe('a request', () => {
  it('comes with its head, body and trailers, and is answered', () => {
    const server = new ServerUnderTest().greet()
    server.send(
      headers(1, [...post, ['x-a', 'b']], endHeaders),
      data(1, 'hello '),
      data(1, 'world'),
      headers(1, [['x-sum', '1']]),
    )
    expect(server.events).toEqual(['1 head POST example.com/ x-a=b', '1 data hello ', '1 data world', '1 trailers x-sum=1'])
    const stream = server.streams.get(1)!
    const response = new ResponseHead()
    response.status = 200
    response.headers.append(headerName('content-type'), 'text/plain')
    stream.sendContinue()
    stream.sendHead(response, false)
    stream.sendData(Buffer.from('abc'), 0, 3, false)
    const trailers = new HeaderTable()
    trailers.append(headerName('grpc-status'), '0')
    stream.sendTrailers(trailers)
    expect(server.frames()).toEqual([
      'HEADERS 1 :status: 100',
      'HEADERS 1 :status: 200; content-type: text/plain',
      'DATA 1 abc',
      'HEADERS 1 grpc-status: 0 end',
    ])
    expect(server.connection.isIdle).toBe(true)
  })

  it('is the same whatever pieces its bytes come in', () => {
    const padded = Buffer.concat([Buffer.from([3]), Buffer.from('padded'), Buffer.from([0, 0, 0])])
    const bytes = Buffer.concat([
      clientPreface,
      frame(frameType.settings, 0, 0, settings([settingId.initialWindowSize, 100])),
      headers(1, [...post, ['cookie', 'a=b'], ['cookie', 'c=d']], endHeaders),
      frame(frameType.data, flag.padded, 1, padded),
      frame(frameType.ping, 0, 0, '12345678'),
      frame(frameType.headers, 0, 3, literals(...get).subarray(0, 20)),
      frame(frameType.continuation, 0, 3, literals(...get).subarray(20, 21)),
      frame(frameType.continuation, endHeaders, 3, literals(...get).subarray(21)),
      data(1, ''.padEnd(300, 'x'), endStream),
      frame(42, 255, 1, 'unknown'),
      headers(3, [['x-t', '1']]),
      headers(5, [...get, [':path', '/twice']]),
      frame(frameType.rstStream, 0, 1, uint32(8)),
    ])
    const outcome = (cuts: number[]) => {
      const server = new ServerUnderTest()
      let from = 0
      for (const cut of [...cuts, bytes.length]) {
        if (cut > from) server.send(Buffer.from(bytes.subarray(from, cut)))
        from = Math.max(from, cut)
      }
      // DATA is passed on in the pieces it comes in: what counts is what they are together.
      const bodies = new Map<string, string>()
      const rest = server.events.filter((event) => {
        const match = /^(\d+) data ([^ ]*)( end)?$/.exec(event)
        if (match === null) return true
        bodies.set(match[1]!, (bodies.get(match[1]!) ?? '') + match[2]! + (match[3] ?? ''))
        return false
      })
      return { rest, bodies, frames: server.frames() }
    }
    const whole = outcome([])
    expect(whole.bodies.get('1')).toBe(`padded${''.padEnd(300, 'x')} end`)
    expect(whole.rest).toContain('1 head POST example.com/ cookie=a=b; c=d')
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 40 }), (cuts) => {
        expect(outcome([...cuts].sort((a, b) => a - b))).toEqual(whole)
      }),
      { numRuns: 300 },
    )
    expect(outcome(Array.from({ length: bytes.length }, (_, i) => i))).toEqual(whole)
  })

  it('tells whether its peer takes bytes of an answer', () => {
    const server = new ServerUnderTest().greet()
    server.send(frame(frameType.settings, 0, 0, settings([settingId.initialWindowSize, 0])), headers(1, get))
    const stream = server.streams.get(1)!
    expect(stream.takesNothing).toBe(true)
    server.send(frame(frameType.windowUpdate, 0, 1, uint32(1)))
    expect(stream.takesNothing).toBe(false)
  })

  it('with Host instead of :authority has its authority from there, and never both', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, [...get.slice(0, 3), ['host', 'a.example']]), headers(3, [...get, ['host', 'evil.example']]))
    expect(server.events).toEqual(['1 head GET a.example/  end', '3 head GET example.com/  end'])
  })

  it('has no blanks around its values', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, [...get, ['x-a', ' b\t'], ['x-b', '  ']]))
    expect(server.events).toEqual(['1 head GET example.com/ x-a=b&x-b= end'])
  })

  it('that asks for a WebSocket comes as the upgrade it stands for', () => {
    const server = new ServerUnderTest({ allowConnect: true }).greet()
    server.send(
      headers(
        1,
        [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get.slice(1), ['sec-websocket-version', '13']],
        endHeaders,
      ),
    )
    expect(server.events[0]).toMatch(
      /^1 head GET example\.com\/ sec-websocket-version=13&upgrade=websocket&connection=upgrade&sec-websocket-key=[\w+/]{22}==$/,
    )
    const response = new ResponseHead()
    response.status = 101
    response.headers.append(headerName('upgrade'), 'websocket')
    response.headers.append(headerName('sec-websocket-accept'), 'x')
    response.headers.append(headerName('sec-websocket-protocol'), 'chat')
    const stream = server.streams.get(1)!
    stream.sendHead(response, false)
    stream.sendData(Buffer.from('down'), 0, 4, true)
    server.send(data(1, 'up'))
    expect(server.frames()).toEqual(['HEADERS 1 :status: 200; sec-websocket-protocol: chat', 'DATA 1 down end'])
    expect(server.events.at(-1)).toBe('1 data up')
  })

  it('whose answer is complete before it is itself may end, or is told to', () => {
    const server = new ServerUnderTest().greet()
    for (const id of [1, 3, 5]) {
      server.send(headers(id, post, endHeaders))
      respond(server.streams.get(id)!, 413, 'no')
    }
    server.frames()
    const before = server.events.length
    server.send(data(1, 'the rest', endStream), headers(3, [['x', 'y']]))
    expect(server.frames()).toEqual([])
    for (let i = 0; i < 5; i++) server.send(data(5, Buffer.alloc(16000)))
    expect(server.frames()).toEqual(['RST_STREAM 5 NO_ERROR'])
    expect(server.events.slice(before)).toEqual(['idle'])
    server.send(headers(7, post, endHeaders))
    respond(server.streams.get(7)!, 413, 'no')
    server.frames()
    server.nowMs += 1000
    server.connection.tick()
    expect(server.frames()).toEqual(['RST_STREAM 7 NO_ERROR'])
  })

  it('may have bytes beyond ASCII in its path, * for OPTIONS, and cookies in crumbs of which empty ones are nothing', () => {
    const server = new ServerUnderTest().greet()
    const path = (value: string): [string, string][] => [...get.filter(([name]) => name !== ':path'), [':path', value]]
    const crumbs = Array.from({ length: 9 }, (_, i): [string, string] => ['cookie', `${i}`])
    server.send(
      headers(1, path('/\xc3\xa9')),
      headers(3, [[':method', 'OPTIONS'], ...path('*').slice(1)]),
      headers(5, [...get, ['cookie', '']]),
      headers(7, [...get, ...crumbs]),
      headers(9, [...get, ['cookie', ''], ['cookie', '']]),
      headers(11, [...get, ['cookie', ''], ['cookie', 'a'], ['cookie', ''], ['cookie', 'b']]),
    )
    expect(server.events.filter((event) => event !== 'idle')).toEqual([
      '1 head GET example.com/\xc3\xa9  end',
      '3 head OPTIONS example.com*  end',
      '5 head GET example.com/  end',
      '7 head GET example.com/ cookie=0; 1; 2; 3; 4; 5; 6; 7; 8 end',
      '9 head GET example.com/  end',
      '11 head GET example.com/ cookie=a; ; b end',
    ])
  })

  it('with headers beyond the limits is refused, and later ones are understood', () => {
    const server = new ServerUnderTest({ maxHeadBytes: 500, maxHeaders: 9 }).greet()
    server.send(
      headers(1, [
        ...get,
        ...Array.from({ length: 5 }, (): [string, string] => ['x-a', 'x'.repeat(120)]),
        ['x-b', 'x'.repeat(126)],
        ['x-c', 'y'.repeat(126)],
        ['x-d', 'y'.repeat(126)],
      ]),
      headers(3, [...get, ...Array.from({ length: 6 }, (): [string, string] => ['x-a', 'y'])]),
      headers(5, get),
    )
    expect(server.events.filter((event) => event !== 'idle')).toEqual([
      '1 reset refused-stream: http2.header_list_size_too_large',
      '3 reset refused-stream: http2.too_many_headers',
      '5 head GET example.com/  end',
    ])
  })

  it('with trailers beyond the limits is given up', () => {
    const server = new ServerUnderTest({ maxHeaders: 6 }).greet()
    const trailers = Array.from({ length: 7 }, (): [string, string] => ['x-a', 'y'])
    server.send(headers(1, post, endHeaders), headers(1, trailers))
    expect(server.events).toContain('1 reset refused-stream: http2.too_many_headers')
    expect(server.frames()).toEqual(['RST_STREAM 1 INTERNAL_ERROR'])
  })
})

describe('a malformed request ends its stream with PROTOCOL_ERROR', () => {
  const without = (name: string): [string, string][] => get.filter(([one]) => one !== name)
  const cases: readonly (readonly [what: string, fields: [string, string][]])[] = [
    ['no :method', without(':method')],
    ['no :scheme', without(':scheme')],
    ['no :path', without(':path')],
    ['an empty :path', [...without(':path'), [':path', '']]],
    [':path twice', [...get, [':path', '/b']]],
    ['a pseudo-header behind another header', [...without(':path'), ['x', 'y'], [':path', '/']]],
    ['an unknown pseudo-header', [...get, [':color', 'red']]],
    [':status', [...get, [':status', '200']]],
    ['an upper-case name', [...get, ['X-A', 'b']]],
    ['an empty name', [...get, ['', 'b']]],
    ['a blank in a name', [...get, ['x a', 'b']]],
    ['NUL in a name', [...get, ['x\0a', 'b']]],
    ['Host twice', [...without(':authority'), ['host', 'a'], ['host', 'a']]],
    ['a line end in a value', [...get, ['x-a', 'b\r\nx: y']]],
    ['NUL in a value', [...get, ['x-a', 'b\0']]],
    ['no :authority', without(':authority')],
    ['an empty :authority', [...without(':authority'), [':authority', '']]],
    ['a blank in :path', [...without(':path'), [':path', '/a b']]],
    ['a line end in :authority', [...without(':authority'), [':authority', 'a\r\nb']]],
    ['user information in :authority', [...without(':authority'), [':authority', 'me@example.com']]],
    ['a line end in :method', [...without(':method'), [':method', 'GET\r\n']]],
    ['Connection', [...get, ['connection', 'close']]],
    ['Transfer-Encoding', [...get, ['transfer-encoding', 'chunked']]],
    ['Upgrade', [...get, ['upgrade', 'websocket']]],
    ['TE other than trailers', [...get, ['te', 'gzip']]],
    ['Content-Length without a body', [...get, ['content-length', '5']]],
    ['two Content-Lengths', [...get, ['content-length', '0'], ['content-length', '0']]],
    ['a :path that does not begin with a slash', [...without(':path'), [':path', 'a']]],
    ['a URL as :path', [...without(':path'), [':path', 'http://example.com/']]],
    ['* as :path of GET', [...without(':path'), [':path', '*']]],
    ['a Content-Length that is no number', [...get, ['content-length', '+0']]],
    ['CONNECT with :path', [[':method', 'CONNECT'], ...get.slice(1)]],
    ['extended CONNECT that was not offered', [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get.slice(1)]],
  ]
  for (const [what, fields] of cases) {
    it(what, () => {
      const server = new ServerUnderTest().greet()
      server.send(headers(1, fields), headers(3, get))
      expect(server.frames()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
      expect(server.events).toContainEqual(expect.stringMatching(/^1 reset protocol-error/))
      expect(server.events.at(-1)).toBe('3 head GET example.com/  end')
    })
  }

  it('or the connection where that is asked for', () => {
    const server = new ServerUnderTest({ streamErrorOnInvalidMessage: false }).greet()
    server.send(headers(1, [...get, ['connection', 'close']]))
    expect(server.frames()).toEqual(['GOAWAY 1 PROTOCOL_ERROR'])
  })

  it('a body longer or shorter than announced', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, [...post, ['content-length', '3']], endHeaders), data(1, 'abcd', endStream))
    server.send(headers(3, [...post, ['content-length', '3']], endHeaders), data(3, 'ab', endStream))
    server.send(headers(5, [...post, ['content-length', '3']], endHeaders), data(5, 'ab'), headers(5, [['x', 'y']]))
    expect(server.frames()).toEqual([1, 3, 5].map((id) => `RST_STREAM ${id} PROTOCOL_ERROR`))
  })

  it('trailers with a pseudo-header, or that do not end the stream', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, post, endHeaders), headers(1, [[':path', '/']]))
    server.send(headers(3, post, endHeaders), headers(3, [['x', 'y']], endHeaders))
    expect(server.frames()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR', 'RST_STREAM 3 PROTOCOL_ERROR'])
  })
})

describe('what breaks the connection', () => {
  const big = Buffer.alloc(16385)
  const cases: readonly (readonly [what: string, frames: Buffer[], code: string])[] = [
    ['SETTINGS of a broken length', [frame(frameType.settings, 0, 0, 'abc')], 'FRAME_SIZE_ERROR'],
    ['SETTINGS on a stream', [frame(frameType.settings, 0, 1)], 'PROTOCOL_ERROR'],
    ['an acknowledgement with a payload', [frame(frameType.settings, flag.ack, 0, settings([1, 1]))], 'FRAME_SIZE_ERROR'],
    ['ENABLE_PUSH 2', [frame(frameType.settings, 0, 0, settings([2, 2]))], 'PROTOCOL_ERROR'],
    ['a window beyond 2^31-1', [frame(frameType.settings, 0, 0, settings([4, 0x80000000]))], 'FLOW_CONTROL_ERROR'],
    ['MAX_FRAME_SIZE too small', [frame(frameType.settings, 0, 0, settings([5, 100]))], 'PROTOCOL_ERROR'],
    ['ENABLE_CONNECT_PROTOCOL taken back', [frame(frameType.settings, 0, 0, settings([8, 1], [8, 0]))], 'PROTOCOL_ERROR'],
    ['PING of a wrong size', [frame(frameType.ping, 0, 0, 'short')], 'FRAME_SIZE_ERROR'],
    ['PING of a wrong size on a stream', [frame(frameType.ping, 0, 1, 'short')], 'FRAME_SIZE_ERROR'],
    ['SETTINGS of a broken length on a stream', [frame(frameType.settings, 0, 1, 'abc')], 'FRAME_SIZE_ERROR'],
    ['GOAWAY of a wrong size on a stream', [frame(frameType.goaway, 0, 1, 'abc')], 'FRAME_SIZE_ERROR'],
    ['PING on a stream', [frame(frameType.ping, 0, 1, '12345678')], 'PROTOCOL_ERROR'],
    ['GOAWAY of a wrong size', [frame(frameType.goaway, 0, 0, 'abc')], 'FRAME_SIZE_ERROR'],
    ['GOAWAY on a stream', [frame(frameType.goaway, 0, 1, '12345678')], 'PROTOCOL_ERROR'],
    ['PUSH_PROMISE', [frame(frameType.pushPromise, 4, 1, '1234')], 'PROTOCOL_ERROR'],
    ['DATA on stream 0', [data(0, 'x')], 'PROTOCOL_ERROR'],
    ['DATA on an idle stream', [data(1, 'x')], 'PROTOCOL_ERROR'],
    ['HEADERS on stream 0', [headers(0, get)], 'PROTOCOL_ERROR'],
    ['HEADERS on an even stream', [headers(2, get)], 'PROTOCOL_ERROR'],
    ['a smaller stream number', [headers(5, get), headers(3, get)], 'PROTOCOL_ERROR'],
    ['RST_STREAM on an idle stream', [frame(frameType.rstStream, 0, 1, uint32(8))], 'PROTOCOL_ERROR'],
    ['RST_STREAM of a wrong size on an idle stream', [frame(frameType.rstStream, 0, 1, 'abc')], 'FRAME_SIZE_ERROR'],
    ['PUSH_PROMISE without a promise', [frame(frameType.pushPromise, 4, 1)], 'FRAME_SIZE_ERROR'],
    ['RST_STREAM of a wrong size', [headers(1, get), frame(frameType.rstStream, 0, 1, 'abc')], 'FRAME_SIZE_ERROR'],
    ['WINDOW_UPDATE on an idle stream', [frame(frameType.windowUpdate, 0, 1, uint32(8))], 'PROTOCOL_ERROR'],
    ['WINDOW_UPDATE of a wrong size', [frame(frameType.windowUpdate, 0, 0, 'abc')], 'FRAME_SIZE_ERROR'],
    ['WINDOW_UPDATE of 0 for the connection', [frame(frameType.windowUpdate, 0, 0, uint32(0))], 'PROTOCOL_ERROR'],
    ['a connection window beyond 2^31-1', [frame(frameType.windowUpdate, 0, 0, uint32(0x7fffffff))], 'FLOW_CONTROL_ERROR'],
    ['CONTINUATION without HEADERS', [frame(frameType.continuation, 4, 1)], 'PROTOCOL_ERROR'],
    ['a frame inside a header block', [headers(1, get, 0), frame(frameType.ping, 0, 0, '12345678')], 'PROTOCOL_ERROR'],
    ['CONTINUATION of another stream', [headers(1, get, 0), frame(frameType.continuation, 4, 3)], 'PROTOCOL_ERROR'],
    [
      'padding longer than DATA',
      [headers(1, post, 4), frame(frameType.data, flag.padded, 1, Buffer.from([5, 1]))],
      'PROTOCOL_ERROR',
    ],
    ['padding longer than HEADERS', [frame(frameType.headers, flag.padded | 4, 1, Buffer.from([5, 1]))], 'PROTOCOL_ERROR'],
    ['a frame larger than allowed', [headers(1, post, 4), data(1, big)], 'FRAME_SIZE_ERROR'],
    ['a block that can not be decoded', [frame(frameType.headers, 5, 1, Buffer.from([0x80]))], 'COMPRESSION_ERROR'],
    [
      'HEADERS on a stream that has ended',
      [headers(1, get), headers(3, post, 4), frame(frameType.rstStream, 0, 3, uint32(8)), headers(3, get)],
      'STREAM_CLOSED',
    ],
  ]
  for (const [what, frames, code] of cases) {
    it(`${what}: ${code}`, () => {
      const server = new ServerUnderTest().greet()
      server.send(...frames)
      expect(server.frames().at(-1)).toMatch(new RegExp(`^GOAWAY \\d+ ${code}$`))
      expect(server.closed).toBe(true)
      // Every request under way has heard of its end, and nothing comes behind.
      const before = server.events.length
      server.send(headers(99, get))
      expect(server.events).toHaveLength(before)
    })
  }

  it('another preface, without a word', () => {
    const server = new ServerUnderTest()
    server.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    expect(server.frames()).toEqual([])
    expect(server.closed).toBe(true)
  })

  it('another first frame than SETTINGS', () => {
    const server = new ServerUnderTest()
    server.send(clientPreface, headers(1, get))
    expect(server.frames()).toEqual(['SETTINGS', 'WINDOW_UPDATE 0 25100289', 'GOAWAY 0 PROTOCOL_ERROR'])
  })

  it('without a word where that is asked for', () => {
    const server = new ServerUnderTest({ announceViolations: false }).greet()
    server.send(frame(frameType.pushPromise, 4, 1, '1234'))
    expect(server.frames()).toEqual([])
    expect(server.closed).toBe(true)
    const zero = new ServerUnderTest({ announceViolations: false }).greet()
    zero.send(headers(1, get), frame(frameType.windowUpdate, 0, 1, uint32(0)))
    expect(zero.frames()).toEqual([])
    expect(zero.closed).toBe(true)
  })

  it.each([
    ['a PING on it', frame(frameType.ping, 0, 3, '12345678')],
    ['an increment of 0 of its window', frame(frameType.windowUpdate, 0, 3, uint32(0))],
  ])('which the stream that it is about hears otherwise than the rest: %s', (_what, wrong) => {
    const server = new ServerUnderTest({ announceViolations: false }).greet()
    server.send(headers(1, get), headers(3, get))
    const before = server.events.length
    server.send(wrong)
    expect(server.frames()).toEqual([])
    expect(server.events.slice(before)).toEqual([
      '3 reset protocol-error: http2.unknown.nghttp2.error',
      '1 reset protocol-error: codec_error:The_user_callback_function_failed',
    ])
  })

  it('but a window beyond 2^31-1 is told of in any case, as RFC 9113 section 6.9.1 asks', () => {
    const server = new ServerUnderTest({ announceViolations: false }).greet()
    server.send(headers(1, get), frame(frameType.windowUpdate, 0, 1, uint32(0x7fffffff)))
    expect(server.frames()).toEqual(['RST_STREAM 1 FLOW_CONTROL_ERROR'])
    server.send(frame(frameType.windowUpdate, 0, 0, uint32(0x7fffffff)))
    expect(server.frames()).toEqual(['GOAWAY 1 FLOW_CONTROL_ERROR'])
  })

  it('and a request of which half the head has come has begun', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(5, get, 0), frame(frameType.ping, 0, 0, '12345678'))
    expect(server.frames()).toEqual(['GOAWAY 5 PROTOCOL_ERROR'])
    expect(server.events).toEqual(['5 reset protocol-error: codec_error:The_user_callback_function_failed'])
  })

  it('DATA or HEADERS after the end of a stream that is open: STREAM_CLOSED', () => {
    for (const late of [data(1, 'x'), headers(1, get)]) {
      const server = new ServerUnderTest().greet()
      server.send(headers(1, get), late)
      expect(server.frames()).toEqual(['GOAWAY 1 STREAM_CLOSED'])
    }
  })

  it('a stream that depends on itself, and SETTINGS acknowledged twice', () => {
    const depends = Buffer.concat([uint32(1), Buffer.from([16]), literals(...get)])
    for (const frames of [
      [frame(frameType.headers, 0x25, 1, depends)],
      [frame(frameType.settings, 1, 0), frame(frameType.settings, 1, 0)],
    ]) {
      const server = new ServerUnderTest().greet()
      server.send(...frames)
      expect(server.frames()).toEqual(['GOAWAY 0 PROTOCOL_ERROR'])
    }
  })
})

describe('what breaks a stream only', () => {
  it('a client that gives a request up for a mistake of ours is told of as one that breaks the protocol', () => {
    const server = new ServerUnderTest().greet()
    const resets = [1, 3].map((id) => frame(frameType.rstStream, 0, id, uint32(id === 1 ? 1 : 8)))
    server.send(headers(1, get), headers(3, get), ...resets)
    expect(server.events.filter((event) => event.includes('reset'))).toEqual([
      '1 reset protocol-error: http2.remote_reset',
      '3 reset remote-reset: CANCEL',
    ])
  })

  it('a window of a stream beyond 2^31-1, or an increment of 0', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, get), frame(frameType.windowUpdate, 0, 1, uint32(0x7fffffff)))
    server.send(headers(3, get), frame(frameType.windowUpdate, 0, 3, uint32(0)))
    expect(server.frames()).toEqual(['RST_STREAM 1 FLOW_CONTROL_ERROR', 'RST_STREAM 3 PROTOCOL_ERROR'])
  })

  it('one stream more than allowed is refused, and its header block still counts', () => {
    const server = new ServerUnderTest({ maxConcurrentStreams: 1 }).greet()
    server.send(headers(1, get), headers(3, get))
    expect(server.frames()).toEqual(['RST_STREAM 3 REFUSED_STREAM'])
    respond(server.streams.get(1)!, 204, '')
    server.send(headers(5, get))
    expect(server.events.at(-1)).toBe('5 head GET example.com/  end')
  })

  it('a peer that sends more than the stream window', () => {
    const server = new ServerUnderTest({ initialStreamWindow: 65535 }).greet()
    server.send(headers(1, post, endHeaders))
    server.streams.get(1)!.pauseRequest()
    for (let i = 0; i < 5; i++) server.send(data(1, Buffer.alloc(16000)))
    expect(server.frames()).toEqual(['RST_STREAM 1 FLOW_CONTROL_ERROR'])
  })
})
