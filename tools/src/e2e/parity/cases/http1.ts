import { http } from '../bootstrap.ts'
import { type ClientTurn, get, group, type ParityCase, request } from '../case.ts'

/** A stream that may be refused: what comes until the end of the connection, or until nothing more comes. */
function raw(...send: (string | number)[]): ClientTurn {
  return { send, untilClosed: true, patienceMs: 1200 }
}

const post = 'POST / HTTP/1.1\r\nhost: a\r\n'

const cases: ParityCase[] = [
  {
    name: 'framing-refused',
    bootstrap: (ports) => http(ports),
    turns: [
      raw(`${post}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
      raw(`${post}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd`),
      raw(`${post}content-length: 3x\r\n\r\nabc`),
      raw(`${post}transfer-encoding: gzip\r\n\r\n`),
      raw(`${post}transfer-encoding: chunked\r\n\r\nzz\r\n`),
    ].map((turn) => ({ ...turn, together: true })),
    // Whether a request was sent on before its body was refused is a race.
    ignoreUpstream: true,
    ignoreStats: /cluster\.a\.|cx_/,
  },
  {
    name: 'lines-refused',
    bootstrap: (ports) => http(ports),
    turns: [
      'GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n',
      'GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n',
      'GET / HTTP/1.1\r\nhost: a b\r\n\r\n',
      'not http at all\r\n\r\n',
    ].map((text) => ({ ...raw(text), together: true })),
    ignoreStats: /cx_/,
  },
  {
    name: 'lines-read-leniently',
    bootstrap: (ports) => http(ports),
    turns: [
      'GET  / HTTP/1.1\r\nhost: a\r\n\r\n',
      'GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n',
      'GET / HTTP/9.1\r\nhost: a\r\n\r\n',
      'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n',
    ].map((text) => ({ ...raw(text), together: true })),
    // How many of them find a connection that is there already is a race.
    ignoreStats: /cx_|pending/,
  },
  {
    name: 'absolute-targets',
    bootstrap: (ports) => http(ports),
    turns: [
      get('http://b.test:81/x?q', 'host: a'),
      get('http://b.test', 'host: a'),
      raw('GET http://b|t/x HTTP/1.1\r\nhost: a\r\n\r\n'),
      raw('GET http://b.test:port/x HTTP/1.1\r\nhost: a\r\n\r\n'),
      raw('GET ftp://b.test/x HTTP/1.1\r\nhost: a\r\n\r\n'),
      raw('GET http:///x HTTP/1.1\r\nhost: a\r\n\r\n'),
    ],
  },
  {
    name: 'chunked-both-ways',
    bootstrap: (ports) => http(ports, { manager: { http_protocol_options: { enable_trailers: true } } }),
    origins: { a: { answers: [{ chunks: ['one ', 'two ', 'three'], chunkDelayMs: 20 }] } },
    turns: [{ send: [`${post}transfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n`, 30, '3\r\n wo\r\n0\r\nx-t: 1\r\n\r\n'] }],
  },
  {
    name: 'one-byte-at-a-time',
    bootstrap: (ports) => http(ports),
    turns: [{ send: [...request('POST', '/slow', ['x-a: b'], 'xyz')].flatMap((byte) => [byte, 1]) }],
  },
  {
    name: 'pipelined',
    bootstrap: (ports) => http(ports),
    origins: { a: { answers: [{ delayMs: 60 }, {}, {}] } },
    turns: [{ send: [get('/1') + request('POST', '/2', [], 'two') + get('/3')], answers: 3 }],
  },
  {
    name: 'heads-without-bodies',
    bootstrap: (ports) => http(ports),
    origins: {
      a: { answers: [{ headers: [['content-length', '42']] }, { status: 204 }, { status: 304, headers: [['etag', '"e"']] }] },
    },
    turns: [{ send: [request('HEAD', '/')] }, get('/204'), get('/304')],
  },
  {
    name: 'http10',
    bootstrap: (ports) =>
      http(ports, { manager: { http_protocol_options: { accept_http_10: true, default_host_for_http_10: 'old.test' } } }),
    turns: [
      raw('GET /1 HTTP/1.0\r\n\r\n'),
      raw('GET /2 HTTP/1.0\r\nhost: named.test\r\n\r\n'),
      { send: ['GET /3 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n'] },
    ],
  },
  {
    name: 'http10-refused',
    bootstrap: (ports) => http(ports),
    turns: [raw('GET / HTTP/1.0\r\nhost: a\r\n\r\n')],
  },
  {
    name: 'limits-of-heads',
    bootstrap: (ports) =>
      http(ports, { manager: { max_request_headers_kb: 4, common_http_protocol_options: { max_headers_count: 12 } } }),
    turns: [
      raw(get('/', `x-long: ${'l'.repeat(5000)}`)),
      raw(get('/', ...Array.from({ length: 14 }, (_, i) => `x-${i}: v`))),
      get('/', `x-fits: ${'l'.repeat(3000)}`),
    ],
  },
  {
    name: 'upgrade',
    bootstrap: (ports) => http(ports, { manager: { upgrade_configs: [{ upgrade_type: 'websocket' }] } }),
    origins: {
      a: {
        answers: [
          {
            status: 101,
            headers: [
              ['upgrade', 'websocket'],
              ['connection', 'upgrade'],
            ],
          },
        ],
      },
    },
    turns: [
      { send: [get('/ws', 'connection: upgrade', 'upgrade: websocket'), 200, 'ping'], untilClosed: true, leaveAfterMs: 400 },
    ],
  },
  {
    name: 'upgrade-refused',
    bootstrap: (ports) => http(ports),
    turns: [{ send: [get('/ws', 'connection: upgrade', 'upgrade: websocket')], untilClosed: true, patienceMs: 1500 }],
  },
  {
    name: 'interim-answers',
    bootstrap: (ports) => http(ports),
    origins: {
      a: {
        answers: [
          {
            raw: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
          },
        ],
      },
    },
    turns: [get('/')],
  },
  {
    name: 'expect-continue',
    bootstrap: (ports) => http(ports),
    turns: [{ send: [`${post}expect: 100-continue\r\ncontent-length: 2\r\n\r\n`, 150, 'ok'] }],
  },
  {
    name: 'close-after-answer',
    bootstrap: (ports) => http(ports),
    turns: [{ send: [get('/', 'connection: close')], untilClosed: true }],
  },
  {
    name: 'bad-answers',
    bootstrap: (ports) => http(ports),
    origins: {
      a: {
        answers: [
          { raw: 'garbage\r\n\r\n' },
          { raw: 'HTTP/1.1 200 OK\r\nx : y\r\n\r\n' },
          { raw: 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab' },
          { raw: 'HTTP/1.1 99 Low\r\n\r\n' },
        ],
      },
    },
    turns: ['/1', '/2', '/3', '/4'].map((path) => get(path)),
  },
  {
    name: 'targets-without-absolute-ones',
    bootstrap: (ports) => http(ports, { manager: { http_protocol_options: { allow_absolute_url: false } } }),
    turns: ['a/b', '?q=1', 'http://a.test/x', 'https://u:p@a.test/a', 'ftp://x', '*', '//a'].map((target) => get(target)),
  },
  {
    name: 'proper-case',
    bootstrap: (ports) => http(ports, { manager: { http_protocol_options: { header_key_format: { proper_case_words: {} } } } }),
    turns: [get('/', 'x-some-header: 1')],
  },
]

export const http1Cases = group('http1', cases)
