import { gzipSync } from 'node:zlib'
import { http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

const text = 'to be or not to be '.repeat(40)
const packed = gzipSync(text).toString('latin1')
/** Each decompressed byte of it stands for a thousand. */
const bomb = gzipSync(Buffer.alloc(100_000)).toString('latin1')

const decompressor = (more: Message = {}): Message =>
  httpFilter('decompressor', 'Decompressor', {
    decompressor_library: { name: 'lib', typed_config: typed('envoy.extensions.compression.gzip.decompressor.v3.Gzip') },
    ...more,
  })
const coded = (coding: string, body = packed, ...headers: [string, string][]) => ({
  raw: [
    'HTTP/1.1 200 OK',
    ...headers.map(([name, value]) => `${name}: ${value}`),
    `content-encoding: ${coding}`,
    `content-length: ${body.length}`,
    '',
    body,
  ].join('\r\n'),
})
const answers = [
  {},
  coded('gzip'),
  coded('GZIP'),
  coded('gzip, br'),
  coded('br, gzip'),
  coded('gzip', 'nothing of the kind'),
  coded('gzip', packed.slice(0, 30)),
  coded('gzip', bomb),
  coded('gzip', packed, ['cache-control', 'no-transform']),
]
const asks = answers.map((_, i) => get(`/${i}`))
const off = { common_config: { enabled: { default_value: false, runtime_key: 'k' } } }

const cases: ParityCase[] = [
  {
    name: 'answers',
    bootstrap: (ports) => http(ports, { filters: [decompressor()] }),
    origins: { a: { answers } },
    turns: asks,
  },
  {
    name: 'trailers-and-options',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          decompressor({
            request_direction_config: { advertise_accept_encoding: false },
            response_direction_config: { common_config: { ignore_no_transform_header: true } },
          }),
        ],
        manager: { http_protocol_options: { enable_trailers: true } },
      }),
    origins: { a: { answers } },
    turns: asks,
  },
  {
    name: 'answers-off',
    bootstrap: (ports) => http(ports, { filters: [decompressor({ response_direction_config: off })] }),
    origins: { a: { answers } },
    turns: asks.slice(0, 2),
  },
  {
    name: 'requests',
    bootstrap: (ports) => http(ports, { filters: [decompressor()] }),
    turns: [
      request('POST', '/plain', [], text),
      get('/', 'accept-encoding: br;q=0.5, gzip;q=0'),
      get('/', 'content-encoding: gzip'),
    ],
  },
]

export const decompressorCases: readonly ParityCase[] = group('decompressor', cases)
