import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import { describe, expect, test } from 'vitest'
import { StreamRecord } from '../stream-record.ts'
import { WireBytes } from '../wire-bytes.ts'
import type { FormatContext } from './context.ts'
import { compileJsonFormat } from './json-format.ts'
import { compileTextFormat } from './text-format.ts'

const started = Date.UTC(2026, 10, 30, 1, 2, 3, 456)

function context(edit: (parts: { request: RequestHead; response: ResponseHead; info: StreamRecord }) => void = () => {}) {
  const request = new RequestHead()
  request.method = 'POST'
  request.path = '/re/x?q=1a&q=2&e=%41'
  request.authority = 'shop.test:80'
  for (const [name, value] of [
    ['x-in', 'abc'],
    ['x-envoy-original-path', '/x?q=1a'],
    ['content-length', '5'],
  ] as const)
    request.headers.append(headerName(name), value)
  const response = new ResponseHead()
  response.status = 404
  response.headers.append(headerName('x-up'), '1')
  const responseTrailers = new HeaderTable()
  responseTrailers.append(headerName('x-t'), 'end')
  const info = new StreamRecord()
  info.reset(10)
  Object.defineProperty(info, 'startTimeMs', { value: started })
  info.endMs = 32.5
  info.requestEndMs = 12.25
  info.responseCode = 404
  info.responseCodeDetails = 'via upstream'
  info.flags = ['UC', 'URX']
  info.protocol = 'HTTP/1.1'
  info.downstreamRemoteAddress = '10.1.10.23'
  info.downstreamRemotePort = 7
  edit({ request, response, info })
  const made: FormatContext = {
    request,
    response,
    responseTrailers,
    info,
    connection: {
      id: 3,
      remoteAddress: '2001:db8:1234:5678:9abc:def0:1234:5678',
      remotePort: 1,
      localAddress: '127.0.0.1',
      localPort: 80,
      tls: null,
      serverName: '',
      listenerName: 'front',
    },
    metadataOrNull: { ns: { s: 'text', n: 1.5, o: { b: [true], a: 2 } } },
    filterState: new Map([['state', 'kept']]),
    routeMetadata: { ns: { k: 'route' } },
    clusterMetadata: null,
    virtualHostMetadata: { ns: { k: 'host' } },
  }
  return made
}

// What real Envoy 1.40 gave for the like, where it was asked.
const values: readonly [format: string, text: string][] = [
  ['%REQ(:METHOD)% %REQUEST_HEADER(x-none?x-in):2%', 'POST ab'],
  ['%REQ(X-IN?)% %REQ(?X-IN)% %REQ(X-NONE?):99999999999%', 'abc abc -'],
  ['%RESP(x-up)% %RESPONSE_HEADER(:status)% %RESPONSE_TRAILER(x-t)% %TRAILER(x-no)%', '1 404 end -'],
  ['%PATH% %PATH(NQ)% %PATH(NQ:PATH)% %PATH(WQ:ORIG_OR_PATH):3%', '/x?q=1a /x /re/x /x?'],
  ['%QUERY_PARAM(q)% %QUERY_PARAM(z)% %QUERY_PARAMS% %QUERY_PARAMS(DECODED):5%', '1a - q=1a&q=2&e=%41 q=1a&'],
  ['%QUERY_PARAM(e)% %QUERY_PARAMS(DECODED)%', 'A q=1a&q=2&e=A'],
  ['%REQ_WITHOUT_QUERY(:PATH)%', '/re/x'],
  ['%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(SNI_FIRST)% %REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%', '- shop.test -'],
  ['%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%', '404 via_upstream via upstream'],
  ['%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%', 'UC,URX UpstreamConnectionTermination,UpstreamRetryLimitExceeded'],
  ['%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%', '10.1.10.23:7 10.1.0.0/16'],
  ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(33)%', '0.0.0.0/0 10.1.10.23'],
  ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(64)%', '2001:db8:1234:5678::/64'],
  ['%UPSTREAM_HOST% %UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_REMOTE_PORT% %LISTENER_NAME%', '- - - front'],
  ['%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)%', '22500 2250000'],
  ['%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)% %DURATION% %ROUNDTRIP_DURATION%', '- 22 -'],
  [
    '%DYNAMIC_METADATA(ns:s):2% %DYNAMIC_METADATA(ns:n)% %DYNAMIC_METADATA(ns:o)% %DYNAMIC_METADATA(ns:o):4%',
    'te 1.5 {"a":2,"b":[true]} {"a"',
  ],
  ['%METADATA(ROUTE:ns:k)% %METADATA(VIRTUAL_HOST:ns:k)% %METADATA(CLUSTER:ns:k)% %METADATA(ROUTE:__proto__)%', 'route host - -'],
  ['%FILTER_STATE(state:PLAIN)% %FILTER_STATE(state)% %FILTER_STATE(none)%', 'kept "kept" -'],
  ['%PER_REQUEST_STATE(state)% %PER_REQUEST_STATE(none)%', 'kept -'],
  ['%COALESCE({"operators":["REQUESTED_SERVER_NAME",{"command":"REQ","param":":authority","max_length":6}]}):4%', 'shop'],
  ['%START_TIME(%Y/%m/%dT%H:%M:%S)% %START_TIME(%s.%3f)% %START_TIME(%E3S)%', '2026/11/30T01:02:03 1796000523.456 03.456'],
  ['%PROTOCOL% %UPSTREAM_PROTOCOL% %BYTES_RETRANSMITTED% %ACCESS_LOG_TYPE% %TRACE_ID%', 'HTTP/1.1 - 0 DownstreamEnd -'],
]

test.each(values)('%s', (format, text) => {
  expect(compileTextFormat(format, 'f')(context())).toBe(text)
})

test.each([
  'FOO',
  'REQ',
  'REQ()',
  'REQ(a?b?c)',
  'REQ(a):x',
  'PATH(XX)',
  'PATH(WQ:YY)',
  'QUERY_PARAM',
  'QUERY_PARAMS(ZZ)',
  'REQUESTED_SERVER_NAME(ZZ)',
  'COMMON_DURATION',
  'COMMON_DURATION(a:b:xs)',
  'COALESCE(x)',
  'COALESCE({"operators":[]})',
  'COALESCE({"operators":["NOPE"]})',
  'GRPC_STATUS(X)',
  'GRPC_STATUS_NUMBER(X)',
  'START_TIME:4',
  'RESPONSE_CODE_DETAILS:4',
  'CLUSTER_METADATA(a):3',
  'REQ(?)',
  'METADATA(X:y)',
  'FILTER_STATE(a:b)',
  'FILTER_STATE(a:TYPED:b)',
  'PER_REQUEST_STATE()',
  'REQ(a b)',
  'COMMON_DURATION(a)',
  'FILTER_STATE(a:FIELD)',
  'DYNAMIC_METADATA',
  'ENVIRONMENT()',
  'PROTOCOL(x)',
  'RESPONSE_CODE:3',
  'DURATION(x)',
  'lower',
  'constructor',
])('%%%s%% is refused', (command) => {
  expect(() => compileTextFormat(`%${command}%`, 'f')).toThrow()
})

describe('JSON', () => {
  test('keeps the type of a value that is one operator, and sorts keys', () => {
    const format = compileJsonFormat(
      { z: '%RESPONSE_CODE%', a: '%REQ(x-none)%', m: '%DYNAMIC_METADATA(ns:o)%', t: 'x%RESPONSE_CODE%' },
      'f',
      { keepTypes: true, omitEmpty: false },
    )
    expect(format(context())).toBe('{"a":null,"m":{"a":2,"b":[true]},"t":"x404","z":404}\n')
  })
})

test('hosts that were tried are told once each', () => {
  const host = (key: string) => ({ key, hostname: '' }) as never
  const made = context(({ info }) => {
    info.earlierAttempts = [host('10.0.0.1:1'), host('10.0.0.2:1'), host('10.0.0.1:1')].map((endpoint, i) => ({
      endpoint,
      connectionId: i + 1,
      reached: i !== 1,
    }))
    info.upstreamEndpoint = host('10.0.0.3:1')
    info.upstreamConnection = { connectEndMs: 1 } as never
  })
  const format = '%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT% %UPSTREAM_CONNECTION_IDS_ATTEMPTED%'
  expect(compileTextFormat(format, 'f')(made)).toBe('10.0.0.1:1,10.0.0.3:1 10.0.0.1,10.0.0.3 1,2,3')
})

test('what no connection was made to has a host, but no address; a session tells that it tried it', () => {
  const unreached = context(({ info }) => {
    info.upstreamEndpoint = { key: '10.0.0.3:1', hostname: '', address: { type: 'ip', host: '10.0.0.3', port: 1 } } as never
    info.upstreamConnection = { connectEndMs: -1 } as never
  })
  const text = compileTextFormat(
    '%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT% %UPSTREAM_HOSTS_ATTEMPTED%',
    'f',
  )
  expect(text(unreached)).toBe('10.0.0.3:1 - - -')
  expect(text({ ...unreached, request: null, info: unreached.info })).toBe('10.0.0.3:1 - - 10.0.0.3:1')
})

test('COALESCE takes what is there, empty or not', () => {
  const made = context(({ request }) => request?.headers.set(headerName('x-empty'), ''))
  const format = '[%COALESCE({"operators":[{"command":"REQ","param":"x-none"},{"command":"REQ","param":"x-empty"},"PROTOCOL"]})%]'
  expect(compileTextFormat(format, 'f')(made)).toBe('[]')
})

test('bytes on the wire are those of HTTP/1.1, fields counted as Envoy counts them', () => {
  const request = new RequestHead()
  request.method = 'GET'
  request.path = '/y'
  request.authority = 'example.com'
  const response = new ResponseHead()
  response.status = 200
  const wire = new WireBytes()
  wire.requestRead(request)
  wire.requestWritten(request, true)
  wire.requestWritten(request, false)
  wire.requestBody(11, true)
  wire.requestEnd(true)
  request.method = 'POST'
  wire.requestWritten(request, true)
  expect(wire.counts.upstreamSent).toBe(
    (
      'GET /y HTTP/1.1\r\nhost: example.com\r\n\r\n' +
      'GET /y HTTP/1.1\r\nhost: example.com\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n' +
      'POST /y HTTP/1.1\r\nhost: example.com\r\ncontent-length: 0\r\n\r\n'
    ).length,
  )
  wire.responseWritten(response, 'content-length: 0')
  wire.responseWritten(response, 'transfer-encoding: chunked')
  wire.responseBody(11, true)
  wire.responseEnd(true)
  expect(wire.counts.downstreamReceived).toBe('GET /y HTTP/1.1\r\nhost: example.com\r\n\r\n'.length)
  expect(wire.counts.downstreamHeadReceived).toBe('hostexample.com'.length + 3)
  expect(wire.counts.downstreamSent).toBe(
    'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n'
      .length,
  )
})

test('a line written into a buffer is the line, as far as there is room', () => {
  const numbers = [0, 7, 10, 1234567890, 2 ** 31, 1.5, -1]
  const made = context(({ info }) => {
    info.flags = ['UF', 'URX']
  })
  for (const bytes of numbers) {
    made.info.bytesSent = bytes
    const text = '[%START_TIME%] %BYTES_SENT%|%REQ(X-NONE)%|%RESPONSE_FLAGS%|%REQ(:PATH):3% %PROTOCOL%"'
    const format = compileTextFormat(text, 'f')
    const line = format(made)
    const out = Buffer.alloc(line.length + 20)
    const end = format.write?.(made, out, 1) ?? -1
    expect(out.latin1Slice(1, end)).toBe(line)
    expect(format.write?.(made, out.subarray(0, line.length - 20), 0)).toBe(-1)
  }
})
