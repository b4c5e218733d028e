import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemorySink } from '../byte-sink.ts'
import { headerName } from '../header-table.ts'
import { RequestHead, ResponseHead } from '../message.ts'
import {
  defaultClientOptions,
  Http1ClientConnection,
  type Http1ClientOptions,
  type Http1End,
  type Http1Response,
} from './client-connection.ts'

class Client {
  readonly sink = new MemorySink()
  readonly seen: string[] = []
  closed = false
  /** Nothing has left, and what is given up can be taken back. */
  withdraws = false
  end: Http1End | null = null
  /** Names of the last answer's headers. */
  headers: string[] = []
  surplus = 0
  reusable = 0
  readonly connection: Http1ClientConnection
  private body = ''

  constructor(options: Partial<Http1ClientOptions> = {}) {
    this.connection = new Http1ClientConnection(
      this.sink,
      { ...defaultClientOptions, enableTrailers: true, ...options },
      {
        reusable: () => {
          this.reusable++
        },
        close: (end) => {
          this.closed = true
          this.end ??= end
        },
        withdraw: () => this.withdraws,
        surplus: () => {
          this.surplus++
        },
        endWriting: () => {},
        pause: () => {},
        resume: () => {},
      },
    )
  }

  send(method = 'GET', headers: Record<string, string> = {}, body: string | null = null): this {
    const response = new ResponseHead()
    this.body = ''
    const receiver: Http1Response = {
      response,
      onInterim: ({ status }) => this.seen.push(`interim ${status}`),
      onResponseHead: (end) => {
        this.seen.push(`head ${response.status}`)
        this.headers = []
        response.headers.forEach((name) => {
          this.headers.push(name)
        })
        if (end) this.seen.push('end')
      },
      onResponseData: (buffer, start, end, last) => {
        this.body += buffer.latin1Slice(start, end)
        if (last) this.seen.push(`body ${this.body}`, 'end')
      },
      onResponseTrailers: (trailers) => this.seen.push(`body ${this.body}`, `trailers ${trailers.size}`, 'end'),
      onResponseReset: (reason, detail) => this.seen.push(`reset ${reason} ${detail}`),
      onRequestWritable: () => {},
    }
    this.connection.begin(receiver)
    const head = new RequestHead()
    head.method = method
    head.path = '/p'
    head.scheme = 'http'
    head.authority = 'up.test'
    for (const [name, value] of Object.entries(headers)) head.headers.append(headerName(name), value)
    this.connection.sendHead(head, body === null)
    if (body !== null) this.connection.sendData(Buffer.from(body), 0, body.length, true)
    return this
  }

  give(text: string): this {
    const bytes = Buffer.from(text, 'latin1')
    this.connection.receive(bytes, 0, bytes.length)
    return this
  }
}

describe('the HTTP/1.1 client side', () => {
  it('sends a head in one piece, and bodies by length or chunks', () => {
    expect(new Client().send('GET', { a: 'b' }).sink.take()).toBe('GET /p HTTP/1.1\r\nhost: up.test\r\na: b\r\n\r\n')
    expect(new Client().send('POST').sink.take()).toContain('content-length: 0\r\n')
    expect(new Client().send('POST', { 'content-length': '2' }, 'hi').sink.take()).toMatch(/content-length: 2\r\n\r\nhi$/)
    expect(new Client().send('POST', {}, 'hi').sink.take()).toMatch(/transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n$/)
  })

  it('frames a body beside an Upgrade that was put there on the way', () => {
    expect(new Client().send('POST', { upgrade: 'x' }, 'hi').sink.take()).toMatch(/transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n/)
  })

  it('asks for a whole address where it is told to, but for a tunnel', () => {
    const client = (): Client => new Client({ absoluteTargets: true })
    expect(client().send('GET').sink.take()).toBe('GET http://up.test/p HTTP/1.1\r\nhost: up.test\r\n\r\n')
    expect(client().send('CONNECT').sink.take()).toContain('CONNECT up.test HTTP/1.1\r\n')
  })

  it('reads answers of every framing, and says whether the connection can be used again', () => {
    const client = new Client().send().give('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi')
    expect(client.seen).toEqual(['head 200', 'body hi', 'end'])
    expect(client.reusable).toBe(1)
    client.send('HEAD').give('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n')
    client.send().give('HTTP/1.1 204 No Content\r\n\r\n')
    client.send().give('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nt: 1\r\n\r\n')
    expect(client.reusable).toBe(4)
    expect(client.seen.slice(-3)).toEqual(['body hi', 'trailers 1', 'end'])
    client.send().give('HTTP/1.1 200 OK\r\n\r\nuntil the ')
    client.give('end')
    client.connection.receiveEnd()
    expect(client.seen.slice(-2)).toEqual(['body until the end', 'end'])
    expect(client.closed).toBe(true)
  })

  it('passes interim answers and waits for the final one', () => {
    const client = new Client()
      .send()
      .give(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
      )
    expect(client.seen).toEqual(['interim 100', 'interim 103', 'head 200', 'end'])
  })

  it('tells whether its end was announced, or comes behind an answer, or breaks one off', () => {
    const endBehind = (answer: string) => new Client().send().give(answer).end
    expect(endBehind('HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n')).toBe('announced')
    expect(endBehind('HTTP/1.1 200 OK\r\nproxy-connection: close\r\ncontent-length: 0\r\n\r\n')).toBe('announced')
    expect(endBehind('HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n')).toBe('announced')
    expect(endBehind('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore')).toBe('complete')
    expect(endBehind('nonsense\r\n\r\n')).toBe('broken')
  })

  it('does not use a connection again that said close, or sent more than was asked', () => {
    expect(new Client().send().give('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n').closed).toBe(true)
    expect(new Client().send().give('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n').closed).toBe(true)
    const idle = new Client().send().give('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    expect(idle.closed).toBe(false)
    expect(idle.give('surprise').closed).toBe(true)
  })

  it.each([
    ['HTTP/1.1 200 OK\ncontent-length: 0\n\n', 'head 200'],
    ['HTTP/1.1  200\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n', 'head 200'],
    ['HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n', 'head 200'],
    ['HTTP/1.1 101 Switching\r\nupgrade: foo\r\nconnection: upgrade\r\n\r\n', 'head 101'],
  ])('takes %j as Envoy does', (answer, wanted) => {
    const client = new Client().send().give(answer)
    expect(client.seen[0]).toBe(wanted)
  })

  it.each([
    'HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n',
    'HTTP/1.1 200OK\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 200 a\x01b\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'ICY 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    'HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n',
    'HTTP/1.1 101 Switching\r\ncontent-length: 3\r\n\r\nabc',
    'HTTP/1.1 103 Early\r\ntransfer-encoding: chunked\r\n\r\n',
    'HTTP/1.1 100 Continue\r\ncontent-length: 1\r\n\r\n',
  ])('refuses %j', (answer) => {
    const client = new Client().send().give(answer)
    expect(client.seen[0]).toContain('reset protocol-error')
    expect(client.closed).toBe(true)
  })

  it('takes a length of nothing off what has no content', () => {
    const client = new Client()
      .send()
      .give('HTTP/1.1 103 Early\r\ncontent-length: 0\r\n\r\nHTTP/1.1 101 S\r\ncontent-length: 0\r\n\r\n')
    expect([client.seen, client.headers]).toEqual([['interim 103', 'head 101', 'end'], []])
  })

  it('gives the same whatever the pieces', () => {
    const answers = [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      'HTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nb;q\r\n12345678901\r\n0\r\nx: y\r\n\r\n',
      'HTTP/1.1 500 No Good Reason\r\ncontent-length: 0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nx : y\r\n\r\n',
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...answers),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 200, maxLength: 200 }),
        (answer, sizes) => {
          const whole = new Client().send().give(answer)
          const pieces = new Client().send()
          let at = 0
          for (const size of sizes) {
            if (at >= answer.length) break
            pieces.give(answer.slice(at, at + size))
            at += size
          }
          expect(pieces.seen).toEqual(whole.seen)
          expect(pieces.closed).toBe(whole.closed)
        },
      ),
    )
  })

  it.each([
    ['before a byte', '', 'connection-closed'],
    ['in the head', 'HTTP/1.1 200 OK\r\nx: ', 'protocol-error'],
    ['in a body with a length', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab', 'protocol-error'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab', 'protocol-error'],
    ['after an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n', 'connection-closed'],
  ])('tells a connection lost %s, by a reset too, as what it is', (_where, text, reason) => {
    for (const lose of ['end', 'reset']) {
      const client = new Client().send()
      if (text !== '') client.connection.receive(Buffer.from(text), 0, text.length)
      if (lose === 'end') client.connection.receiveEnd()
      else client.connection.connectionLost('connection-closed', 'reset by peer')
      expect(client.seen.at(-1)).toContain(`reset ${reason}`)
    }
  })

  it('takes the length off an answer that has no content', () => {
    const client = new Client().send().give('HTTP/1.1 204 None\r\ncontent-length: 0\r\nx-own: 1\r\n\r\n')
    expect([client.seen, client.headers]).toEqual([['head 204', 'end'], ['x-own']])
  })

  it('tells of bytes behind an answer, and does not use the connection again', () => {
    const behind = new Client().send()
    behind.give('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiEXTRA')
    expect(behind.seen).toEqual(['head 200', 'body hi', 'end'])
    expect([behind.surplus, behind.closed, behind.reusable]).toEqual([1, true, 0])
    const later = new Client().send()
    later.give('HTTP/1.1 204 None\r\n\r\n')
    later.give('x')
    expect([later.surplus, later.closed]).toEqual([1, true])
  })

  it('is used again after a request that was given up before anything of it had left', () => {
    const early = new Client()
    early.withdraws = true
    early.send('POST', {}, 'abc').connection.reset()
    expect([early.closed, early.connection.isIdle]).toEqual([false, true])
    early.send().give('HTTP/1.1 204 None\r\n\r\n')
    expect([early.seen, early.closed]).toEqual([['head 204', 'end'], false])
    const late = new Client().send()
    late.connection.reset()
    expect(late.closed).toBe(true)
    const last = new Client()
    last.withdraws = true
    last.connection.closeAfterResponse()
    last.send().connection.reset()
    expect(last.closed).toBe(true)
  })
})
