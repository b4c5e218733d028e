import { describe, expect, it } from 'vitest'
import { MemorySink } from '../byte-sink.ts'
import { headerName } from '../header-table.ts'
import { RequestHead, ResponseHead } from '../message.ts'
import type { IncomingResponse } from '../stream.ts'
import { Http2ClientConnection, type Http2ClientStream } from './client-connection.ts'
import { clientPreface, flag, frameType } from './frame.ts'
import { defaultHttp2Options, type Http2Options } from './options.ts'
import { settingId } from './settings.ts'
import { data, FrameLog, frame, headers, settings, uint32 } from './testing/raw-peer.ts'

const endHeaders = flag.endHeaders

/** A client's connection whose answers the test makes up. */
class ClientUnderTest {
  readonly sink = new MemorySink()
  readonly connection: Http2ClientConnection
  readonly events: string[] = []
  closed = false
  private readonly log = new FrameLog()

  constructor(options: Partial<Http2Options> = {}) {
    this.connection = new Http2ClientConnection(
      this.sink,
      { ...defaultHttp2Options, ...options },
      {
        room: () => {
          this.events.push('room')
        },
        goaway: (code) => {
          this.events.push(`goaway ${code}`)
        },
        closeAfterWrite: () => {
          this.closed = true
        },
        failed: () => {},
        noted: () => {},
      },
      () => 0,
    )
    this.connection.start()
  }

  greet(...values: [number, number][]): this {
    expect(this.sink.take().startsWith(clientPreface.toString('latin1'))).toBe(true)
    this.send(frame(frameType.settings, 0, 0, settings(...values)))
    this.frames()
    this.events.length = 0
    return this
  }

  begin(method = 'GET', fields: [string, string][] = [], end = true): Http2ClientStream {
    const response = new ResponseHead()
    const receiver: IncomingResponse = {
      response,
      onInterim: (head) => {
        this.events.push(`interim ${head.status}`)
      },
      onResponseHead: (last) => {
        const lines: string[] = []
        response.headers.forEach((name, value) => {
          lines.push(`${name}=${value}`)
        })
        this.events.push(`head ${response.status} ${lines.join('&')}${last ? ' end' : ''}`)
      },
      onResponseData: (buffer, start, to, last) => {
        this.events.push(`data ${buffer.latin1Slice(start, to)}${last ? ' end' : ''}`)
      },
      onResponseTrailers: (trailers) => {
        trailers.forEach((name, value) => {
          this.events.push(`trailer ${name}=${value}`)
        })
      },
      onResponseReset: (reason, detail) => {
        this.events.push(`reset ${reason}: ${detail}`)
      },
      onRequestWritable: () => {
        this.events.push('writable')
      },
    }
    const request = new RequestHead()
    request.method = method
    request.path = '/a'
    request.authority = 'example.com'
    request.upgrades = fields.some(([name]) => name === 'connection')
    for (const [name, value] of fields) request.headers.append(headerName(name), value)
    const stream = this.connection.begin(receiver)
    stream.sendHead(request, end)
    return stream
  }

  send(...frames: Buffer[]): this {
    const bytes = Buffer.concat(frames)
    this.connection.receive(bytes, 0, bytes.length)
    return this
  }

  frames(): string[] {
    return this.log.read(Buffer.from(this.sink.take(), 'latin1'))
  }
}

const ok: [string, string][] = [[':status', '200']]

describe('a request', () => {
  it('goes out by its fields, and its answer comes with interim heads and trailers', () => {
    const client = new ClientUnderTest().greet()
    const stream = client.begin(
      'POST',
      [
        ['x-a', 'b'],
        ['connection', 'close'],
      ],
      false,
    )
    stream.sendData(Buffer.from('body'), 0, 4, true)
    expect(client.frames()).toEqual([
      'HEADERS 1 :method: POST; :scheme: http; :path: /a; :authority: example.com; x-a: b',
      'DATA 1 body end',
    ])
    expect(stream.unanswered).toBe(true)
    client.send(
      headers(
        1,
        [
          [':status', '103'],
          ['link', '</a>'],
        ],
        endHeaders,
      ),
      headers(1, [...ok, ['x-c', 'd']], endHeaders),
      data(1, 'answer'),
      headers(1, [['grpc-status', '0']]),
    )
    expect(stream.unanswered).toBe(false)
    expect(client.events).toEqual(['interim 103', 'head 200 x-c=d', 'data answer', 'trailer grpc-status=0', 'room'])
    expect(client.connection.openStreams).toBe(0)
  })

  it('waits its turn where the peer allows no more', () => {
    const client = new ClientUnderTest().greet([settingId.maxConcurrentStreams, 1])
    expect(client.connection.canOpen).toBe(true)
    client.begin()
    expect(client.connection.canOpen).toBe(false)
    client.send(headers(1, ok))
    expect(client.events).toEqual(['head 200  end', 'room'])
    expect(client.connection.canOpen).toBe(true)
  })

  it('that is answered before it is complete is not sent to its end', () => {
    const client = new ClientUnderTest().greet()
    client.begin('POST', [], false)
    client.frames()
    client.send(headers(1, ok))
    expect(client.frames()).toEqual(['RST_STREAM 1 CANCEL'])
    expect(client.events).toEqual(['head 200  end', 'room'])
  })

  it('is given up with CANCEL, and what still comes of its answer is dropped', () => {
    const client = new ClientUnderTest().greet()
    client.begin().reset()
    client.frames()
    client.send(headers(1, ok, endHeaders), data(1, 'late'))
    expect(client.frames()).toEqual([])
    expect(client.events).toEqual(['room'])
  })

  it('to upgrade becomes an extended CONNECT, and its answer the one that was waited for', () => {
    const client = new ClientUnderTest().greet([settingId.enableConnectProtocol, 1])
    expect(client.connection.takesUpgrades).toBe(true)
    const stream = client.begin(
      'GET',
      [
        ['upgrade', 'websocket'],
        ['connection', 'upgrade'],
        ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ=='],
      ],
      false,
    )
    expect(client.frames()).toEqual([
      'HEADERS 1 :method: CONNECT; :scheme: http; :path: /a; :authority: example.com; :protocol: websocket; sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    ])
    client.send(headers(1, ok, endHeaders), data(1, 'down', 1))
    stream.sendData(Buffer.from('up'), 0, 2, true)
    expect(client.frames()).toEqual(['DATA 1 up end'])
    expect(client.events).toEqual([
      'head 101 upgrade=websocket&connection=upgrade&sec-websocket-accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      'data down end',
      'room',
    ])
  })
})

describe('an answer that may not be', () => {
  const cases: readonly (readonly [what: string, frames: Buffer[]])[] = [
    ['no :status', [headers(1, [['x', 'y']])]],
    ['101', [headers(1, [[':status', '101']], endHeaders)]],
    ['a status that is no number', [headers(1, [[':status', '2xx']])]],
    [':path', [headers(1, [...ok, [':path', '/']])]],
    ['an interim answer at the end', [headers(1, [[':status', '100']])]],
    ['DATA before the head', [data(1, 'x')]],
    ['a body shorter than announced', [headers(1, [...ok, ['content-length', '5']], endHeaders), data(1, 'abc', 1)]],
  ]
  for (const [what, frames] of cases) {
    it(`${what} ends its stream`, () => {
      const client = new ClientUnderTest().greet()
      client.begin()
      client.frames()
      client.send(...frames)
      expect(client.frames()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
      expect(client.events.at(-1)).toMatch(/^reset protocol-error/)
    })
  }

  it('a body behind HEAD', () => {
    const client = new ClientUnderTest().greet()
    client.begin('HEAD')
    client.begin('HEAD')
    client.frames()
    client.send(headers(1, [...ok, ['content-length', '5']]))
    client.send(headers(3, [...ok, ['content-length', '5']], endHeaders), data(3, 'hello', 1))
    expect(client.events.slice(0, 2)).toEqual(['head 200 content-length=5 end', 'room'])
    expect(client.frames()).toEqual(['RST_STREAM 3 PROTOCOL_ERROR'])
  })

  it('takes no notice of what comes behind the end of a stream', () => {
    const client = new ClientUnderTest().greet()
    client.begin()
    client.begin()
    client.frames()
    client.send(headers(1, ok), data(1, 'x'), headers(1, ok), headers(3, ok))
    expect(client.events.filter((event) => event.startsWith('head'))).toEqual(['head 200  end', 'head 200  end'])
    expect([client.frames(), client.closed]).toEqual([[], false])
  })

  it('PUSH_PROMISE, a pushed stream, or ENABLE_PUSH ends the connection', () => {
    for (const one of [
      frame(frameType.pushPromise, endHeaders, 1, uint32(2)),
      headers(2, ok),
      frame(frameType.settings, 0, 0, settings([settingId.enablePush, 1])),
    ]) {
      const client = new ClientUnderTest().greet()
      client.begin()
      client.send(one)
      expect(client.frames().at(-1)).toBe('GOAWAY 0 PROTOCOL_ERROR')
      expect(client.closed).toBe(true)
    }
  })
})

describe('the end of a connection', () => {
  it('GOAWAY gives back the requests that the peer has not looked at, and lets the others end', () => {
    const client = new ClientUnderTest().greet()
    client.begin()
    client.begin()
    client.frames()
    client.send(frame(frameType.goaway, 0, 0, Buffer.concat([uint32(1), uint32(0)])))
    expect(client.frames()).toEqual([])
    expect(client.events).toEqual(['reset refused-stream: goaway NO_ERROR', 'goaway 0'])
    expect(client.connection.canOpen).toBe(false)
    client.send(headers(1, ok))
    expect(client.events.at(-1)).toBe('head 200  end')
    expect(client.closed).toBe(true)
  })

  it('REFUSED_STREAM says that the request may be sent again', () => {
    const client = new ClientUnderTest().greet()
    client.begin()
    client.send(frame(frameType.rstStream, 0, 1, uint32(7)))
    expect(client.events).toEqual(['room', 'reset refused-stream: REFUSED_STREAM'])
  })

  it('drains: no new requests, and closes behind the last', () => {
    const client = new ClientUnderTest().greet()
    client.begin()
    client.connection.drain()
    expect(client.connection.isOpen).toBe(false)
    expect(client.closed).toBe(false)
    client.send(headers(1, ok))
    expect(client.closed).toBe(true)
  })

  it('a lost connection is told to every request', () => {
    const client = new ClientUnderTest().greet()
    client.begin()
    client.begin()
    client.connection.connectionLost('connect-failure', 'refused')
    expect(client.events).toEqual(['reset connect-failure: refused', 'reset connect-failure: refused'])
  })
})
