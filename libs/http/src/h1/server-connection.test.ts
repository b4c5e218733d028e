import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemorySink } from '../byte-sink.ts'
import { type HeaderCasing, properCase } from '../header-casing.ts'
import { type HeaderTable, headerName } from '../header-table.ts'
import { RequestHead, ResponseHead } from '../message.ts'
import {
  type ClosePace,
  defaultServerOptions,
  type Http1Request,
  Http1ServerConnection,
  type Http1ServerOptions,
} from './server-connection.ts'

/** A server that notes every request and answers it at once, or when it is told to. */
class Server {
  readonly sink = new MemorySink()
  readonly connection: Http1ServerConnection
  readonly seen: string[] = []
  closed = false
  pace: ClosePace | null = null
  answerAtOnce = true
  body = ''
  paused = 0
  lastCasing: HeaderCasing | null = null

  constructor(options: Partial<Http1ServerOptions> = {}) {
    this.connection = new Http1ServerConnection(
      this.sink,
      { ...defaultServerOptions, ...options },
      {
        begin: () => this.request(),
        closeAfterWrite: (how) => {
          this.closed = true
          this.pace = how
        },
        pause: () => {
          this.paused++
        },
        resume: () => {
          this.paused--
        },
        idle: () => {},
      },
    )
  }

  private request(): Http1Request {
    const request = new RequestHead()
    this.body = ''
    const done = (trailers: HeaderTable | null) => {
      const headers: string[] = []
      request.headers.forEach((name, value) => {
        headers.push(`${name}=${value}`)
      })
      this.lastCasing = request.headers.casing
      const ends: string[] = []
      trailers?.forEach((name, value) => {
        ends.push(`${name}=${value}`)
      })
      this.seen.push(
        [request.method, request.path, request.authority, request.version, headers.join('&'), this.body, ends.join('&')].join(
          ' ',
        ),
      )
      if (this.answerAtOnce) this.answer('ok')
    }
    return {
      request,
      onRequestHead: (end) => {
        if (end) done(null)
      },
      onRequestData: (buffer, start, end, last) => {
        this.body += buffer.latin1Slice(start, end)
        if (last) done(null)
      },
      onRequestTrailers: done,
      onRequestReset: (reason) => this.seen.push(`reset ${reason}`),
      onRequestError: ({ status, details }) => {
        this.seen.push(`error ${status} ${details}`)
        this.answer('no', status)
      },
      onResponseWritable: () => {},
    }
  }

  answer(body: string, status = 200): void {
    const head = new ResponseHead()
    head.status = status
    head.headers.append(headerName('content-length'), String(body.length))
    this.connection.sendHead(head, false)
    const bytes = Buffer.from(body)
    this.connection.sendData(bytes, 0, bytes.length, true)
  }

  give(text: string): this {
    const bytes = Buffer.from(text, 'latin1')
    this.connection.receive(bytes, 0, bytes.length)
    return this
  }
}

/** Lets what waits for the end of the turn run. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const post = 'POST / HTTP/1.1\r\nhost: a\r\n'

describe('the HTTP/1.1 server side', () => {
  it('reads a request without a body, its names in lower case, its host as authority', () => {
    const server = new Server().give('GET /x?y=1 HTTP/1.1\r\nHost: a.test:80\r\nX-Mixed:  v \r\nEmpty:\r\n\r\n')
    expect(server.seen).toEqual(['GET /x?y=1 a.test:80 11 x-mixed=v&empty=  '])
    expect(server.sink.take()).toBe('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
    expect(server.closed).toBe(false)
  })

  it('reads bodies by length and by chunks, with extensions and trailers', () => {
    const server = new Server({ enableTrailers: true })
    server.give(`${post}content-length: 5\r\n\r\nhello`)
    server.give(`${post}transfer-encoding: chunked\r\n\r\n3;a="b;c"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n`)
    expect(server.seen.map((line) => line.split(' ').slice(-2).join(' '))).toEqual(['hello ', 'abc0123456789 x-t=1'])
  })

  it('answers pipelined requests in order, each after the one before', async () => {
    const server = new Server()
    server.answerAtOnce = false
    server.give('GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(server.seen).toHaveLength(1)
    expect(server.paused).toBe(1)
    server.answer('one')
    await turn()
    expect(server.seen).toHaveLength(2)
    server.answer('two')
    await turn()
    server.answer('three')
    expect(server.paused).toBe(0)
    expect(server.seen.map((line) => line.split(' ')[1])).toEqual(['/1', '/2', '/3'])
    expect(server.sink.take()).toMatch(/one.*two.*three$/s)
  })

  it('closes after a response that says so', () => {
    const server = new Server().give('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
    expect(server.sink.take()).toContain('connection: close')
    expect(server.closed).toBe(true)
  })

  it('tells HEAD too, where its head is not read to the end, what is wrong with it', () => {
    const head = 'HEAD / HTTP/1.1\r\nhost: a\r\n'
    expect(new Server().give(`${head}content-length: x\r\n\r\n`).sink.take()).toMatch(/no$/)
    expect(new Server().give('HEAD ftp://a/ HTTP/1.1\r\n\r\n').sink.take()).toMatch(/\r\n\r\n$/)
  })

  it.each([
    ['nothing before a bad size', '3\r\nabc\r\ng\r\n', ''],
    ['what came in reads before', ['3\r\nabc\r\n', '2\r\nde\r\ng\r\n'], 'abc'],
    ['all before bad trailers', '3\r\nabc\r\n2\r\nde\r\n0\r\n: x\r\n\r\n', 'abcde'],
    ['all before a line of the last size that ends too soon', '3\r\nabc\r\n0\n\n', 'abc'],
  ])('passes on of a chunked body %s', (_what, pieces, passed) => {
    const server = new Server().give(`${post}transfer-encoding: chunked\r\n\r\n`)
    for (const piece of [pieces].flat()) server.give(piece)
    expect([server.body, server.seen]).toEqual([passed, [expect.stringContaining('error 400')]])
  })

  it('takes chunk sizes of sixty-four bits, leading zeros apart', () => {
    const server = new Server().give(`${post}transfer-encoding: chunked\r\n\r\n${'0'.repeat(30)}ffffffffffffffff\r\nabc`)
    expect([server.body, server.seen]).toEqual(['abc', []])
  })

  it.each([204, 304])('sends no body behind %i, whoever made one', (status) => {
    const server = new Server()
    server.answerAtOnce = false
    server.give('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    const head = new ResponseHead()
    head.status = status
    server.connection.sendHead(head, false)
    server.connection.sendData(Buffer.from('ab'), 0, 2, true)
    expect(server.sink.take()).toMatch(/\r\n\r\n$/)
    expect(server.closed).toBe(false)
  })

  it('sends no body to HEAD, and frames by chunks what has no length', () => {
    const server = new Server()
    server.give('HEAD / HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(server.sink.take()).toBe('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n')
    server.answerAtOnce = false
    server.give('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    const head = new ResponseHead()
    head.status = 200
    server.connection.sendHead(head, false)
    server.connection.sendData(Buffer.from('x'.repeat(300)), 0, 300, false)
    server.connection.sendData(Buffer.alloc(0), 0, 0, true)
    expect(server.sink.take()).toBe(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n12c\r\n${'x'.repeat(300)}\r\n0\r\n\r\n`)
  })

  it('takes absolute targets, whose authority wins over Host', () => {
    const server = new Server().give('GET HTTP://Other.test:81/x?q HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(server.seen).toEqual(['GET /x?q Other.test:81 11   '])
  })

  it.each([
    ['two lengths', `${post}content-length: 1\r\ncontent-length: 1\r\n\r\na`, 'error 400'],
    ['a length that is no number', `${post}content-length: 1x\r\n\r\na`, 'error 400'],
    ['a signed length', `${post}content-length: +1\r\n\r\na`, 'error 400'],
    [
      'length and chunks',
      `${post}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`,
      'error 400 http1.content_length_and_chunked_not_allowed',
    ],
    ['another coding', `${post}transfer-encoding: gzip\r\n\r\n`, 'error 501 http1.invalid_transfer_encoding'],
    ['two codings', `${post}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`, 'error 501'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nhost : a\r\n\r\n', 'error 400'],
    ['NUL in a value', 'GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n', 'error 400'],
    ['DEL in a value', 'GET / HTTP/1.1\r\nhost: a\r\nx: a\x7fb\r\n\r\n', 'error 400'],
    ['a host that is none', 'GET / HTTP/1.1\r\nhost: a/b\r\n\r\n', 'error 400 http.invalid_authority'],
    [
      'a Connection that takes away what is trusted',
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for\r\n\r\n',
      'error 400 http1.connection_header_rejected',
    ],
    ['another scheme', 'GET ftp://a/x HTTP/1.1\r\nhost: a\r\n\r\n', 'error 400 http1.invalid_scheme'],
    [
      'an absolute target whose authority could not be a host',
      'GET http://a_b/x HTTP/1.1\r\nhost: a\r\n\r\n',
      'error 400 http1.invalid_url',
    ],
    [
      'bad bytes behind more headers than are allowed, as too large',
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(62000)}\r\nx : y\r\n\r\n`,
      'error 431 http1.headers_too_large',
    ],
    ['no version', 'GET /\r\nhost: a\r\n\r\n', 'error 426'],
    ['no version and no path', 'GET HTTP/1.1\r\nhost: a\r\n\r\n', 'error 400 http1.codec_error'],
    ['a folded first header', 'GET / HTTP/1.1\r\n host: a\r\n\r\n', 'error 400'],
    ['a folded host', 'GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n', 'error 400 http.invalid_authority'],
    ['a method that is not known', 'FOO / HTTP/1.1\r\nhost: a\r\n\r\n', 'error 400 http1.codec_error'],
    ['a CR in a name', 'GET / HTTP/1.1\r\nhost: a\r\nx\r: 1\r\n\r\n', 'error 400'],
    ['a CR alone where the head ends', 'GET / HTTP/1.1\r\nhost: a\r\n\r\r\n\r\n', 'error 400'],
    ['a bare LF behind a chunk size', `${post}transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n`, 'error 400'],
    ['a CR in a chunk extension', `${post}transfer-encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n`, 'error 400'],
    ['HTTP/2 as version', 'GET / HTTP/2.0\r\nhost: a\r\n\r\n', 'error 426'],
    ['a relative target', 'GET x HTTP/1.1\r\nhost: a\r\n\r\n', 'error 400 http1.codec_error'],
    ['a bad chunk size', `${post}transfer-encoding: chunked\r\n\r\ng\r\n`, 'error 400'],
    ['a chunk size without end', `${post}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n`, 'error 400'],
    ['too many headers', `GET / HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(100)}\r\n`, 'error 431 http1.too_many_headers'],
    [
      'headers that are too large',
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(62000)}\r\n\r\n`,
      'error 431 http1.headers_too_large',
    ],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: a\r\n\r\n', 'error 426'],
    // What is wrong in two ways, as Envoy finds it.
    [
      'an unclear length before the version',
      'POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n',
      'error 400 http1.content_length_and_chunked_not_allowed',
    ],
    ['a coding before the host', 'POST / HTTP/1.1\r\nhost: a b\r\ntransfer-encoding: gzip\r\n\r\n', 'error 501'],
    [
      'what Connection names before the target',
      'GET ftp://a/ HTTP/1.1\r\nconnection: x-forwarded-for\r\n\r\n',
      'connection_header',
    ],
    ['a body of CONNECT before its target', 'CONNECT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc', 'body_disallowed'],
  ])('refuses %s and closes', (_name, text, wanted) => {
    const server = new Server().give(text)
    expect(server.seen).toHaveLength(1)
    expect(server.seen[0]).toContain(wanted)
    expect(server.closed).toBe(true)
    server.give('GET /next HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(server.seen).toHaveLength(1)
  })

  it.each([
    ['a folded line', 'GET / HTTP/1.1\r\nhost: a\r\nx: one\r\n\ttwo \r\n three\r\n\r\n', 'GET / a 11 x=one\ttwo  three  '],
    ['bare LFs', 'GET / HTTP/1.1\nhost: a\nx: y\n\n', 'GET / a 11 x=y  '],
    ['a CR inside a value', 'GET / HTTP/1.1\r\nhost: a\r\nx: 1\ry: 2\r\n\r\n', 'GET / a 11 x=1y: 2  '],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: a\r\nhost:\r\nhost: b\r\n\r\n', 'GET / a,b 11   '],
    ['more white space in its line', 'GET\t /  HTTP/1.1 \r\nhost: a\r\n\r\n', 'GET / a 11   '],
    [
      'white space behind a chunk size and bytes behind a chunk',
      `${post}transfer-encoding: chunked\r\n\r\n3 x\r\nabcd\n0\r\n\r\n`,
      'POST / a 11 transfer-encoding=chunked abc ',
    ],
  ])('takes %s as Envoy does, in whatever pieces, and nothing behind it', (_name, text, wanted) => {
    for (const size of [text.length, 1]) {
      const server = new Server()
      for (let at = 0; at < text.length; at += size) server.give(text.slice(at, at + size))
      expect(server.seen).toEqual([wanted])
      expect(server.closed).toBe(false)
      server.give('GET /next HTTP/1.1\r\nhost: a\r\n\r\n')
      expect(server.seen).toHaveLength(1)
      expect(server.closed).toBe(true)
    }
  })

  it('takes an empty host, which is not the same as none', () => {
    const server = new Server().give('GET / HTTP/1.1\r\nhost:\r\n\r\n')
    expect(server.seen).toEqual(['GET /  11   '])
  })

  it('writes names as configured, or as they came', () => {
    const proper = new Server({ casing: { written: properCase, kept: null } })
    proper.give('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
    expect(proper.sink.take()).toBe('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
    const kept = new Server({ casing: { written: null, kept: { others: null, reason: false } } })
    kept.give('GET / HTTP/1.1\r\nHOST: a\r\nX-miXed').give(': 1\r\n\r\n')
    expect(kept.lastCasing?.nameOf('x-mixed')).toBe('X-miXed')
    expect(kept.lastCasing?.nameOf('host')).toBe('HOST')
    expect(kept.lastCasing?.nameOf('other')).toBe('other')
  })

  it('accepts HTTP/1.0 where that is allowed, and keeps the connection only when asked', () => {
    const server = new Server({ acceptHttp10: true, defaultHost: 'old' })
    server.give('GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n')
    expect(server.closed).toBe(false)
    server.give('GET / HTTP/1.0\r\n\r\n')
    expect(server.seen[1]).toContain('GET / old 10')
    expect(server.closed).toBe(true)
  })

  it('tells a request that was cut off', () => {
    const server = new Server().give(`${post}content-length: 5\r\n\r\nhe`)
    expect(server.connection.receiveEnd()).toBe(false)
    expect(server.seen).toEqual(['reset connection-closed'])
  })

  it('gives the same requests whatever the pieces the bytes come in', async () => {
    const message = fc.constantFrom(
      'GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n',
      'POST /b HTTP/1.1\r\nHost: b\r\nContent-Length: 11\r\n\r\nhello world',
      'POST /c HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nt: 1\r\n\r\n',
      '\r\nHEAD /d HTTP/1.1\r\nhost: d\r\n\r\n',
      'GET /bad HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n',
      'POST /bad HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
      'garbage\r\n\r\n',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
        async (messages, sizes) => {
          const text = messages.join('')
          const whole = new Server({ enableTrailers: true }).give(text)
          for (let i = 0; i < 12; i++) await turn()
          const pieces = new Server({ enableTrailers: true })
          let at = 0
          for (const size of sizes) {
            if (at >= text.length) break
            pieces.give(text.slice(at, at + size))
            await turn()
            at += size
          }
          for (let i = 0; i < 12; i++) await turn()
          expect(pieces.seen).toEqual(whole.seen)
          expect(pieces.sink.take()).toBe(whole.sink.take())
          expect(pieces.closed).toBe(whole.closed)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const server = new Server()
        server.give(Buffer.from(bytes).toString('latin1'))
        server.give('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
      }),
    )
  })

  it('refuses a control byte in the line or in a name for what it is', () => {
    for (const head of [
      'GET /\x01 HTTP/1.1\r\n',
      'GET\x0b/ HTTP/1.1\r\n',
      'GET / HTTP/1.1\x7f\r\n',
      'GET / HTTP/1.1\r\nx\x01a: 1\r\n',
    ])
      expect(new Server().give(`${head}host: a\r\n\r\n`).seen).toEqual(['error 400 http1.invalid_characters'])
  })

  it('refuses trailers that are too many or too long with 431', () => {
    const chunk = `${post}transfer-encoding: chunked\r\n\r\n0\r\n`
    const many = new Server({ maxHeaders: 3, enableTrailers: true }).give(`${chunk}a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n`)
    expect(many.seen).toEqual(['error 431 http1.too_many_headers'])
    const dropped = new Server({ maxHeaders: 3 }).give(`${chunk}a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n`)
    expect(dropped.seen).toHaveLength(1)
    expect(dropped.seen[0]).not.toContain('error')
    const long = new Server({ maxHeadBytes: 80 }).give(`${chunk}a: ${'z'.repeat(100)}\r\n\r\n`)
    expect(long.seen).toEqual(['error 431 http1.headers_too_large'])
  })

  it('takes lengths of 64 bits, and no longer ones', () => {
    const server = new Server({}).give(`${post}content-length: 18446744073709551615\r\n\r\nab`)
    expect(server.seen).toEqual([])
    const longer = new Server({}).give(`${post}content-length: 18446744073709551616\r\n\r\nab`)
    expect(longer.seen).toEqual(['error 400 http1.codec_error'])
  })

  it('refuses CONNECT with a body', () => {
    const connect = 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n'
    expect(new Server().give(`${connect}content-length: 1\r\n\r\nx`).seen).toEqual(['error 400 http1.body_disallowed'])
    expect(new Server().give(`${connect}transfer-encoding: chunked\r\n\r\n`).seen[0]).toContain('501')
  })

  it('waits for the end of a line behind the first request, whatever it begins with', () => {
    expect(new Server().give('x').seen).toEqual(['error 400 http1.codec_error'])
    const later = new Server().give('GET / HTTP/1.1\r\nhost: a\r\n\r\nx')
    expect(later.seen).toHaveLength(1)
    expect(later.give('\r\n').seen[1]).toBe('error 400 http1.codec_error')
  })

  it('says how the connection may end', () => {
    const asked = new Server()
    asked.answerAtOnce = false
    asked.give('GET / HTTP/1.1\r\nhost: a\r\nproxy-connection: close\r\n\r\n').answer('ok')
    expect(asked.pace).toBe('now')
    expect(new Server().give('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n').pace).toBe('late')
    const drained = new Server()
    drained.answerAtOnce = false
    drained.give('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    drained.connection.closeAfterResponse()
    drained.answer('ok')
    expect(drained.pace).toBe('late')
  })
})
