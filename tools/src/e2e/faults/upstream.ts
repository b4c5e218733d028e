import { get, type OriginAnswer, request } from '../parity/case.ts'
import type { Fault } from './fault.ts'

const head = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'
const chunkedHead = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
/** An answer that is begun is only ever cut off: no other code can be sent any more. */
const cut = { client: ['200 cut'], log: ['200 UPE upstream_reset_after_response_started{protocol_error}'] }
const refused = { client: ['502'], log: ['502 UPE upstream_reset_before_response_started{protocol_error}'] }
const gone = { client: ['503'], log: ['503 UC upstream_reset_before_response_started{connection_termination}'] }

/** Where an upstream may stop, each by RST and by FIN. */
/** Of a head that is begun, what is missing breaks the protocol. */
const positions: [string, string, Pick<Fault, 'client' | 'log'>][] = [
  ['before-a-byte', '', gone],
  ['in-the-status-line', 'HTTP/1.1 2', refused],
  ['in-a-header', 'HTTP/1.1 200 OK\r\nx-half: a', refused],
  ['before-the-empty-line', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n', refused],
  ['before-the-body', head, cut],
  ['in-the-body', `${head}abc`, cut],
  ['in-a-chunk-size', `${chunkedHead}5`, cut],
  ['in-a-chunk', `${chunkedHead}5\r\nab`, cut],
  ['between-chunks', `${chunkedHead}5\r\nabcde\r\n`, cut],
  ['before-the-last-line', `${chunkedHead}5\r\nabcde\r\n0\r\n`, cut],
  [
    'after-an-interim-answer',
    'HTTP/1.1 100 Continue\r\n\r\n',
    { client: ['503'], log: ['503 UC upstream_reset_after_response_started{connection_termination}'] },
  ],
]

const resets: Fault[] = positions.flatMap(([where, raw, ends]) =>
  (['reset', 'close'] as const).map(
    (after): Fault => ({ name: `${after}-${where}`, origin: { answers: [{ raw, after }] }, ...ends }),
  ),
)

function garbage(name: string, raw: string, ends: Pick<Fault, 'client' | 'log'>): Fault {
  return { name: `garbage-${name}`, origin: { answers: [{ raw }] }, ...ends }
}

const garbages: Fault[] = [
  garbage('not-http', 'SSH-2.0-OpenSSH\r\n\r\n', refused),
  garbage('http2', 'HTTP/2.0 200 OK\r\n\r\n', {
    client: ['200 cut'],
    log: ['200 SI stream_idle_timeout'],
  }),
  garbage('nul-in-a-header', 'HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n', refused),
  garbage('two-lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', refused),
  garbage('length-and-chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', refused),
  garbage('length-of-letters', 'HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n', refused),
  garbage('bad-chunk-size', `${chunkedHead}zz\r\n`, cut),
  garbage('chunk-too-long', `${chunkedHead}2\r\nabc\r\n0\r\n\r\n`, {
    client: ['200'],
    log: ['200 - via_upstream'],
  }),
  garbage('body-with-204', 'HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nab', refused),
  garbage('switch-nobody-asked-for', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n', {
    client: ['101 cut'],
    log: ['101 - via_upstream'],
  }),
  garbage('head-too-large', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(90_000)}\r\n\r\n`, {
    client: ['502'],
    log: ['502 UPE upstream_reset_before_response_started{protocol_error}'],
  }),
  garbage('head-just-not-too-large', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}\r\ncontent-length: 0\r\n\r\n`, {
    client: ['200'],
    log: ['200 - via_upstream'],
  }),
  garbage('more-than-was-announced', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcdef', {
    client: ['200'],
    log: ['200 - via_upstream'],
  }),
]

const silent: OriginAnswer = { after: 'silence' }

const late: Fault[] = [
  {
    name: 'never-answers',
    origin: { answers: [silent] },
    route: { timeout: '0.3s' },
    client: ['504'],
    log: ['504 UT response_timeout'],
  },
  {
    name: 'never-ends-its-answer',
    origin: { answers: [{ raw: `${head}abc` }] },
    route: { timeout: '0.3s' },
    client: ['200 cut'],
    log: ['200 UT response_timeout'],
  },
  {
    name: 'falls-silent-in-its-answer',
    origin: { answers: [{ raw: `${head}abc` }] },
    route: { idle_timeout: '0.3s' },
    client: ['200 cut'],
    log: ['200 SI stream_idle_timeout'],
  },
  {
    name: 'answers-at-a-later-try',
    origin: { answers: [silent, { body: 'second' }] },
    route: { retry_policy: { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.25s' } },
    client: ['200'],
    log: ['200 - via_upstream'],
  },
  {
    name: 'never-answers-any-try',
    origin: { answers: [silent] },
    route: { retry_policy: { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.2s' } },
    client: ['504'],
    log: ['504 URX,UT upstream_per_try_timeout'],
  },
  {
    name: 'resets-every-try',
    origin: { answers: [{ raw: '', after: 'reset' }] },
    route: { retry_policy: { retry_on: 'reset', num_retries: 2, retry_back_off: { base_interval: '0.001s' } } },
    client: ['503'],
    log: ['503 URX,UC upstream_reset_before_response_started{connection_termination}'],
  },
  {
    name: 'resets-the-first-try',
    origin: { answers: [{ raw: '', after: 'reset' }, {}] },
    route: { retry_policy: { retry_on: 'reset', num_retries: 2, retry_back_off: { base_interval: '0.001s' } } },
    client: ['200'],
    log: ['200 - via_upstream'],
  },
  {
    name: 'nobody-listens',
    origin: { down: true },
    client: ['503'],
    log: ['503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}'],
  },
  {
    name: 'closes-what-it-accepts',
    origin: { onConnect: 'close' },
    client: ['503'],
    log: ['503 UC upstream_reset_before_response_started{connection_termination}'],
  },
  {
    name: 'resets-what-it-accepts',
    origin: { onConnect: 'reset' },
    client: ['503'],
    log: ['503 UC upstream_reset_before_response_started{connection_termination}'],
  },
]

const early: Fault[] = [
  {
    name: 'early-success',
    origin: { answers: [{ early: true, status: 200, body: 'enough' }] },
    turns: [{ send: ['POST PATH HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc', 300, 'def'] }],
    client: ['200'],
    log: ['200 - via_upstream'],
  },
  {
    name: 'early-refusal',
    origin: { answers: [{ early: true, status: 413, body: 'no more' }] },
    turns: [{ send: ['POST PATH HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n', 300] }],
    client: ['413'],
    log: ['413 - via_upstream'],
  },
  {
    name: 'early-refusal-and-close',
    origin: { answers: [{ early: true, status: 503, body: 'full', after: 'close' }] },
    turns: [{ send: ['POST PATH HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc', 300] }],
    client: ['503'],
    log: ['503 - via_upstream'],
  },
]

const big = 'x'.repeat(3_000_000)
const slow: Fault[] = [
  {
    name: 'slow-client-reads-late',
    origin: { answers: [{ body: big }] },
    turns: [{ send: [get('PATH')], readAfterMs: 500, patienceMs: 10_000 }],
    client: ['200'],
    log: ['200 - via_upstream'],
  },
  {
    name: 'slow-client-writes',
    origin: {},
    turns: [
      {
        send: [...request('POST', '/slow-client-writes', [], 'slowly')].flatMap((byte, i) => (i % 5 === 0 ? [2, byte] : [byte])),
      },
    ],
    client: ['200'],
    log: ['200 - via_upstream'],
  },
  {
    name: 'slow-upstream-writes',
    origin: { answers: [{ chunks: Array.from({ length: 20 }, () => 'z'), chunkDelayMs: 10 }] },
    client: ['200'],
    log: ['200 - via_upstream'],
  },
  {
    name: 'slow-upstream-reads-nothing',
    origin: { answers: [{}], readNothing: true },
    route: { timeout: '0.6s' },
    turns: [
      {
        send: [`POST PATH HTTP/1.1\r\nhost: a\r\ncontent-length: ${big.length * 4}\r\n\r\n`, big, big, big, big],
        patienceMs: 3000,
      },
    ],
    // The route's time begins when the request is whole; until then the stream's idle time watches.
    client: ['408'],
    log: ['408 SI stream_idle_timeout'],
  },
]

/** All that an upstream can do wrong. */
export const upstreamFaults: readonly Fault[] = [...resets, ...garbages, ...late, ...early, ...slow]
