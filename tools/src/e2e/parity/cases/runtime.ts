import { http, type Message } from '../bootstrap.ts'
import { get, group, type ParityCase } from '../case.ts'
import type { Json } from '../json.ts'

/** A route that is taken as often as runtime key `k` says, never without it. */
const drawn: Message = {
  match: { prefix: '/', runtime_fraction: { runtime_key: 'k', default_value: { numerator: 0, denominator: 'MILLION' } } },
  direct_response: { status: 200 },
}

function layer(name: string, values: Message): Message {
  return { name, static_layer: values }
}

const shares: readonly (readonly [name: string, value: Json])[] = [
  ['whole-number', 100],
  ['beyond-a-hundred', 5000],
  ['text-of-a-number', '100'],
  ['fractional-percent', { numerator: 10_000, denominator: 'TEN_THOUSAND' }],
  ['fractional-percent-with-more', { numerator: 100, other: 1 }],
  ['less-than-one', 0.9],
  ['boolean', true],
]

const cases: ParityCase[] = [
  ...shares.map(
    ([name, value]): ParityCase => ({
      name: `share-by-${name}`,
      bootstrap: (ports) =>
        http(ports, {
          routes: [drawn, { match: { prefix: '/' }, direct_response: { status: 404 } }],
          more: { layered_runtime: { layers: [layer('s', { k: value })] } },
        }),
      turns: [get('/')],
    }),
  ),
  {
    name: 'layers',
    bootstrap: (ports) =>
      http(ports, {
        more: {
          layered_runtime: {
            layers: [
              layer('low', { a: 1, b: { c: 'x', d: { e: true } }, empty: '', large: 1_234_567 }),
              layer('high', { a: 2.5, 'b.c': 'y' }),
              { name: 'gone', disk_layer: { symlink_root: '/weft-parity-no-such-folder' } },
              { name: 'admin', admin_layer: {} },
            ],
          },
        },
      }),
    admin: ['/runtime', '/stats?filter=^runtime'],
  },
]

export const runtimeCases = group('runtime', cases)
