import { http } from '../bootstrap.ts'
import { type ClientTurn, get, group, type ParityCase } from '../case.ts'

/** A stream that may be refused: what comes until the end of the connection, or until nothing more comes. */
function raw(...send: (string | number)[]): ClientTurn {
  return { send, untilClosed: true, patienceMs: 1400 }
}

const head = 'GET / HTTP/1.1\r\nhost: a\r\n'
const post = 'POST / HTTP/1.1\r\nhost: a\r\n'

/** Streams that the same bootstrap is asked to judge, each on its own connection. */
function judged(name: string, texts: readonly string[], manager: Parameters<typeof http>[1] = {}): ParityCase {
  return {
    name,
    bootstrap: (ports) => http(ports, manager),
    turns: texts.map((text) => raw(text)),
    // Whether a request was sent on before its body was refused is a race.
    ignoreUpstream: true,
    ignoreStats: /cx_|cluster\.a\.|rx_reset/,
  }
}

const cases: ParityCase[] = [
  judged(
    'control-bytes-in-the-line',
    ['\x01', '\x0b', '\x1f', '\x7f'].flatMap((byte) => [
      `GET /${byte} HTTP/1.1\r\nhost: a\r\n\r\n`,
      `GET /${byte}HTTP/1.1\r\nhost: a\r\n\r\n`,
    ]),
  ),
  judged('control-bytes-in-names', [`${head}x\x01a: 1\r\n\r\n`, `${head}x\x7fa: 1\r\n\r\n`, `${head}x(a: 1\r\n\r\n`]),
  judged(
    'methods',
    ['GET', 'get', 'MSEARCH', 'M-SEARCH', 'PURGE', 'BREW', 'QUERY'].map((method) => `${method} / HTTP/1.1\r\nhost: a\r\n\r\n`),
  ),
  judged('query-has-a-type', [
    'QUERY / HTTP/1.1\r\nhost: a\r\ncontent-type: a/b\r\ncontent-length: 1\r\n\r\nx',
    'QUERY / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx',
  ]),
  judged('length-beside-any-coding', [
    `${post}content-length: 3\r\ntransfer-encoding: identity\r\n\r\nabc`,
    `${post}content-length: 18446744073709551616\r\n\r\nabc`,
    `${post}content-length: 03\r\n\r\nabc`,
  ]),
  judged('trailers-beyond-limits', [
    `${post}transfer-encoding: chunked\r\n\r\n0\r\nx: ${'z'.repeat(70_000)}\r\n\r\n`,
    `${post}transfer-encoding: chunked\r\n\r\n0\r\n${Array.from({ length: 110 }, (_, i) => `x-${i}: 1\r\n`).join('')}\r\n`,
    `${post}transfer-encoding: chunked\r\n\r\n0\r\nx: a\0b\r\n\r\n`,
  ]),
  judged(
    'http-1.0-kept-and-closed',
    ['keep-alive', 'close, keep-alive', 'x'].flatMap((words) => [
      `GET / HTTP/1.0\r\nhost: a\r\nconnection: ${words}\r\n\r\n`,
      `GET /none HTTP/1.0\r\nhost: a\r\nconnection: ${words}\r\n\r\n`,
    ]),
    {
      manager: { http_protocol_options: { accept_http_10: true } },
      routes: [{ match: { path: '/' }, route: { cluster: 'a' } }],
    },
  ),
  judged('proxy-connection', [`${head}proxy-connection: close\r\n\r\n`, `${head}proxy-connection: keep-alive\r\n\r\n`]),
  judged('connect-with-a-body', [
    'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ncontent-length: 1\r\n\r\nx',
    'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'CONNECT / HTTP/1.1\r\nhost: /\r\n\r\n',
  ]),
  judged('absolute-targets-refused', [get('http://b.test/x'), get('/x')], {
    manager: { http_protocol_options: { allow_absolute_url: false } },
  }),
  judged('malformed-closes', [get('/bad'), get('/bad', 'connection: close'), get('/fine')], {
    routes: [
      { match: { prefix: '/bad' }, direct_response: { status: 400 } },
      { match: { prefix: '/' }, direct_response: { status: 403 } },
    ],
  }),
  {
    name: 'one-entry-of-a-name',
    bootstrap: (ports) => http(ports),
    origins: {
      a: {
        answers: [
          { headers: ['etag', 'vary', 'set-cookie', 'x-own'].flatMap((name) => [[name, '1'] as const, [name, '2'] as const]) },
        ],
      },
    },
    turns: [
      get(
        '/',
        ...['accept', 'user-agent', 'referer', 'cookie', 'x-own', 'range'].flatMap((name) => [`${name}: 1`, `${name}: 2`]),
      ),
    ],
  },
  {
    name: 'parameters-of-dot-segments',
    bootstrap: (ports) => http(ports, { manager: { normalize_path: true } }),
    turns: ['/a/..;x=1/b', '/a/.;/b', '/a/...;/b', '/a/%2e%2e;/b', '/a"<>^`{|}', '/a/b/..;/..;/c'].map((path) => get(path)),
  },
  {
    name: 'nothing-but-slashes',
    bootstrap: (ports) => http(ports, { manager: { merge_slashes: true } }),
    turns: ['//', '///', '//?//', '/a//b//'].map((path) => get(path)),
  },
  {
    name: 'schemes',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a' },
            response_headers_to_add: [{ header: { key: 'x-scheme', value: '%REQ(:SCHEME)%' } }],
          },
        ],
      }),
    turns: [
      get('/', 'x-forwarded-proto: HTTPS'),
      get('/', 'x-forwarded-proto: ftp'),
      get('/', 'x-forwarded-proto:'),
      get('https://a.test/x', 'x-forwarded-proto: http'),
    ],
  },
  {
    name: 'one-scheme-for-all',
    bootstrap: (ports) => http(ports, { manager: { scheme_header_transformation: { scheme_to_overwrite: 'https' } } }),
    turns: [get('/'), get('/', 'x-forwarded-proto: http')],
  },
  {
    name: 'a-dot-behind-the-host',
    bootstrap: (ports) =>
      http(ports, {
        manager: { strip_trailing_host_dot: true },
        virtualHosts: [
          { name: 'a', domains: ['a.test', 'a.test:81'], routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] },
        ],
      }),
    turns: ['a.test', 'a.test.', 'a.test.:81', 'b.test.'].map((host) => get('/', `host: ${host}`)),
  },
]

/** What is taken, and as what. */
export const verdictCases: readonly ParityCase[] = group('verdicts', cases)
