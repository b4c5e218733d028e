import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeaderTable, headerName } from '../header-table.ts'
import { ResponseHead } from '../message.ts'
import { clientPreface, flag, frameType } from './frame.ts'
import { defaultHttp2Options } from './options.ts'
import type { Http2ServerStream } from './server-connection.ts'
import { settingId } from './settings.ts'
import { data, frame, get, headers, literals, post, respond, ServerUnderTest, settings, uint32 } from './testing/raw-peer.ts'

const endHeaders = flag.endHeaders
const endStream = flag.endStream
const raw = (type: number, flags: number, id: number, payload: string | Buffer = ''): Buffer =>
  frame(type, flags, id, Buffer.from(payload))

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
      raw(frameType.data, flag.padded, 1, padded),
      raw(frameType.ping, 0, 0, '12345678'),
      frame(frameType.headers, 0, 3, literals(...get).subarray(0, 20)),
      frame(frameType.continuation, 0, 3, literals(...get).subarray(20, 21)),
      frame(frameType.continuation, endHeaders, 3, literals(...get).subarray(21)),
      data(1, ''.padEnd(300, 'x'), endStream),
      raw(42, 255, 1, 'unknown'),
      headers(3, [['x-t', '1']]),
      headers(5, [...get, [':path', '/twice']]),
      raw(frameType.rstStream, 0, 1, uint32(8)),
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
    ['SETTINGS of a broken length', [raw(frameType.settings, 0, 0, 'abc')], 'FRAME_SIZE_ERROR'],
    ['SETTINGS on a stream', [raw(frameType.settings, 0, 1)], 'PROTOCOL_ERROR'],
    ['an acknowledgement with a payload', [frame(frameType.settings, flag.ack, 0, settings([1, 1]))], 'FRAME_SIZE_ERROR'],
    ['ENABLE_PUSH 2', [frame(frameType.settings, 0, 0, settings([2, 2]))], 'PROTOCOL_ERROR'],
    ['a window beyond 2^31-1', [frame(frameType.settings, 0, 0, settings([4, 0x80000000]))], 'FLOW_CONTROL_ERROR'],
    ['MAX_FRAME_SIZE too small', [frame(frameType.settings, 0, 0, settings([5, 100]))], 'PROTOCOL_ERROR'],
    ['ENABLE_CONNECT_PROTOCOL taken back', [frame(frameType.settings, 0, 0, settings([8, 1], [8, 0]))], 'PROTOCOL_ERROR'],
    ['PING of a wrong size', [raw(frameType.ping, 0, 0, 'short')], 'FRAME_SIZE_ERROR'],
    ['PING on a stream', [raw(frameType.ping, 0, 1, '12345678')], 'PROTOCOL_ERROR'],
    ['GOAWAY of a wrong size', [raw(frameType.goaway, 0, 0, 'abc')], 'FRAME_SIZE_ERROR'],
    ['GOAWAY on a stream', [raw(frameType.goaway, 0, 1, '12345678')], 'PROTOCOL_ERROR'],
    ['PUSH_PROMISE', [raw(frameType.pushPromise, 4, 1, '1234')], 'PROTOCOL_ERROR'],
    ['DATA on stream 0', [data(0, 'x')], 'PROTOCOL_ERROR'],
    ['DATA on an idle stream', [data(1, 'x')], 'PROTOCOL_ERROR'],
    ['HEADERS on stream 0', [headers(0, get)], 'PROTOCOL_ERROR'],
    ['HEADERS on an even stream', [headers(2, get)], 'PROTOCOL_ERROR'],
    ['a smaller stream number', [headers(5, get), headers(3, get)], 'PROTOCOL_ERROR'],
    ['RST_STREAM on an idle stream', [raw(frameType.rstStream, 0, 1, uint32(8))], 'PROTOCOL_ERROR'],
    ['RST_STREAM of a wrong size on an idle stream', [raw(frameType.rstStream, 0, 1, 'abc')], 'FRAME_SIZE_ERROR'],
    ['PUSH_PROMISE without a promise', [raw(frameType.pushPromise, 4, 1)], 'FRAME_SIZE_ERROR'],
    ['RST_STREAM of a wrong size', [headers(1, get), raw(frameType.rstStream, 0, 1, 'abc')], 'FRAME_SIZE_ERROR'],
    ['WINDOW_UPDATE on an idle stream', [raw(frameType.windowUpdate, 0, 1, uint32(8))], 'PROTOCOL_ERROR'],
    ['WINDOW_UPDATE of a wrong size', [raw(frameType.windowUpdate, 0, 0, 'abc')], 'FRAME_SIZE_ERROR'],
    ['WINDOW_UPDATE of 0 for the connection', [raw(frameType.windowUpdate, 0, 0, uint32(0))], 'PROTOCOL_ERROR'],
    ['a connection window beyond 2^31-1', [raw(frameType.windowUpdate, 0, 0, uint32(0x7fffffff))], 'FLOW_CONTROL_ERROR'],
    ['CONTINUATION without HEADERS', [raw(frameType.continuation, 4, 1)], 'PROTOCOL_ERROR'],
    ['a frame inside a header block', [headers(1, get, 0), raw(frameType.ping, 0, 0, '12345678')], 'PROTOCOL_ERROR'],
    ['CONTINUATION of another stream', [headers(1, get, 0), raw(frameType.continuation, 4, 3)], 'PROTOCOL_ERROR'],
    [
      'padding longer than DATA',
      [headers(1, post, 4), raw(frameType.data, flag.padded, 1, Buffer.from([5, 1]))],
      'PROTOCOL_ERROR',
    ],
    ['padding longer than HEADERS', [raw(frameType.headers, flag.padded | 4, 1, Buffer.from([5, 1]))], 'PROTOCOL_ERROR'],
    ['a frame larger than allowed', [headers(1, post, 4), data(1, big)], 'FRAME_SIZE_ERROR'],
    ['a block that can not be decoded', [raw(frameType.headers, 5, 1, Buffer.from([0x80]))], 'COMPRESSION_ERROR'],
    [
      'HEADERS on a stream that has ended',
      [headers(1, get), headers(3, post, 4), raw(frameType.rstStream, 0, 3, uint32(8)), headers(3, get)],
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
    server.send(raw(frameType.pushPromise, 4, 1, '1234'))
    expect(server.frames()).toEqual([])
    expect(server.closed).toBe(true)
    const zero = new ServerUnderTest({ announceViolations: false }).greet()
    zero.send(headers(1, get), raw(frameType.windowUpdate, 0, 1, uint32(0)))
    expect(zero.frames()).toEqual([])
    expect(zero.closed).toBe(true)
  })

  it.each([
    ['a PING on it', raw(frameType.ping, 0, 3, '12345678')],
    ['a window beyond 2^31-1', raw(frameType.windowUpdate, 0, 3, uint32(0x7fffffff))],
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

  it('and a request of which half the head has come has begun', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(5, get, 0), raw(frameType.ping, 0, 0, '12345678'))
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
      [raw(frameType.headers, 0x25, 1, depends)],
      [raw(frameType.settings, 1, 0), raw(frameType.settings, 1, 0)],
    ]) {
      const server = new ServerUnderTest().greet()
      server.send(...frames)
      expect(server.frames()).toEqual(['GOAWAY 0 PROTOCOL_ERROR'])
    }
  })
})

describe('what breaks a stream only', () => {
  it('a window of a stream beyond 2^31-1, or an increment of 0', () => {
    const server = new ServerUnderTest().greet()
    server.send(headers(1, get), raw(frameType.windowUpdate, 0, 1, uint32(0x7fffffff)))
    server.send(headers(3, get), raw(frameType.windowUpdate, 0, 3, uint32(0)))
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
    server.send(raw(frameType.windowUpdate, 0, 1, uint32(4)))
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
    server.send(raw(frameType.windowUpdate, 0, 1, uint32(5)))
    expect(server.frames()).toEqual(['SETTINGS ack'])
    server.send(raw(frameType.windowUpdate, 0, 1, uint32(3)))
    expect(server.frames()).toEqual(['DATA 1 abc end'])
  })

  it('streams that wait for the connection window take turns', () => {
    const server = new ServerUnderTest().greet([settingId.initialWindowSize, 1 << 20])
    server.send(headers(1, get), headers(3, get))
    for (const id of [1, 3]) respond(server.streams.get(id)!, 200, 'x'.repeat(100_000))
    server.frames()
    server.send(raw(frameType.windowUpdate, 0, 0, uint32(4 * 16384)))
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
    server.send(raw(frameType.windowUpdate, 0, 1, uint32(10)))
    expect(server.frames()).toEqual(['DATA 1 b', 'HEADERS 1 grpc-status: 0 end'])
  })
})

describe('abuse ends the connection with ENHANCE_YOUR_CALM', () => {
  const calm = (server: ServerUnderTest) => server.frames().at(-1)
  const { budget } = defaultHttp2Options

  it('rapid reset, at half of the streams that are taken for granted', () => {
    const server = new ServerUnderTest().greet()
    const resets = budget.prematureResetStreams * budget.prematureResetShare
    for (let i = 0; i < resets; i++) {
      expect(server.closed).toBe(false)
      server.send(headers(2 * i + 1, get), raw(frameType.rstStream, 0, 2 * i + 1, uint32(8)))
    }
    expect(calm(server)).toMatch(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/)
  })

  it('more resets than are configured, however late they are, by INTERNAL_ERROR', () => {
    const server = new ServerUnderTest({ budget: { ...budget, resetBurst: 3, resetsPerSecond: 2 } }).greet()
    let id = 1
    const reset = (times: number): void => {
      for (let i = 0; i < times; i++, id += 2) server.send(headers(id, get), raw(frameType.rstStream, 0, id, uint32(8)))
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
      server.send(raw(frameType.rstStream, 0, id, uint32(8)))
    }
    const response = new ResponseHead()
    response.status = 200
    for (let i = 0; i < 600; i++) giveUp(2 * i + 1, (stream) => stream.sendHead(response, false))
    for (let i = 600; i < 1200; i++) giveUp(2 * i + 1, () => (server.nowMs += budget.prematureResetMs))
    expect(server.closed).toBe(false)
    expect(server.connection.standing).toBe('steady')
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
          raw(frameType.rstStream, 0, id, uint32(8)),
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
      expect(server.connection.beginWaiting(always)).toBe(true)
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
      receive(server, ...Array.from({ length: 4 }, (_, i) => raw(frameType.rstStream, 0, 17 + 2 * i, uint32(8))))
      taken(server)
      expect(server.connection.beginWaiting(always)).toBe(false)
      expect(taken(server)).toEqual(heads(25, 8))
      for (let id = 1; id < 17; id += 2) respond(server.streams.get(id)!, 200, '')
      expect(server.connection.beginWaiting(always)).toBe(true)
      expect(taken(server)).toEqual(heads(41, 20))
      expect(server.connection.standing).toBe('steady')
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
      expect(server.connection.beginWaiting(always)).toBe(true)
      expect(taken(server)).toEqual([])
      // The others begin in turns, and have what came of their bodies meanwhile.
      receive(server, headers(57, post, endHeaders), data(57, 'a'), givenUp(59, 2), data(57, 'b', endStream), headers(63, get))
      expect(taken(server)).toEqual(['waiting'])
      let asked = 0
      expect(server.connection.beginWaiting({ isOver: () => ++asked > 1 })).toBe(false)
      expect(server.connection.beginWaiting(always)).toBe(true)
      expect(taken(server)).toEqual(['57 head POST example.com/ ', '57 data a', '57 data b end', '63 head GET example.com/  end'])
    })

    it('and who becomes steady does not wait any more', () => {
      const server = new ServerUnderTest({}, true).greet()
      receive(server, givenUp(1, 20))
      expect(server.connection.standing).toBe('fickle')
      server.onComplete = (stream) => respond(stream, 200, '')
      for (let id = 49; id < 600; id += 2) {
        receive(server, headers(id, get))
        server.connection.beginWaiting(always)
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
      if (id % 3 === 0) server.send(raw(frameType.rstStream, 0, id, uint32(8)))
      server.send(raw(frameType.windowUpdate, 0, 0, uint32(10)))
    }
    expect(server.closed).toBe(false)
  })

  it('requests that make the server reset them', () => {
    const server = new ServerUnderTest().greet()
    for (let i = 0; i <= budget.prematureResetStreams && !server.closed; i++) {
      server.send(headers(2 * i + 1, post, endHeaders), raw(frameType.windowUpdate, 0, 2 * i + 1, uint32(0)))
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
    for (const one of [raw(frameType.ping, 0, 0, '12345678'), raw(frameType.settings, 0, 0)]) {
      const server = new ServerUnderTest().greet()
      server.sink.congested = true
      for (let i = 0; i <= budget.maxOutboundControlFrames && !server.closed; i++) server.send(one)
      expect(calm(server)).toMatch(/^GOAWAY 0 ENHANCE_YOUR_CALM$/)
    }
  })

  it('PING, PRIORITY, unknown frames and window updates by the thousand', () => {
    const priority = Buffer.concat([uint32(0), Buffer.from([16])])
    const floods = [
      raw(frameType.ping, 0, 0, '12345678'),
      raw(frameType.priority, 0, 1, priority),
      raw(99, 0, 0),
      raw(frameType.windowUpdate, 0, 0, uint32(1)),
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
    server.send(raw(frameType.ping, flag.ack, 0, 'weft-you'))
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
