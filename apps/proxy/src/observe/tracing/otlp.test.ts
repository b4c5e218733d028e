import { BinaryReader } from '@bufbuild/protobuf/wire'
import { expect, test } from 'vitest'
import { encodeSpans } from './otlp.ts'
import { Span } from './span.ts'

type Field = [number: number, value: string | Uint8Array]

/** The fields of a message, numbers as text. */
function fields(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes)
  const all: Field[] = []
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    all.push([
      field,
      type === 2
        ? reader.bytes()
        : type === 1
          ? String(reader.fixed64())
          : type === 5
            ? String(reader.fixed32())
            : String(reader.int32()),
    ])
  }
  return all
}

function inside(bytes: Uint8Array, ...path: number[]): Uint8Array {
  return path.reduce((at, field) => fields(at).find(([number]) => number === field)?.[1] as Uint8Array, bytes)
}

const textOf = (value: string | Uint8Array | undefined) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value)

test('a span as OTLP has it', () => {
  const span = new Span({
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    parentId: '00f067aa0ba902b8',
    sampled: true,
    name: 'ingress',
    kind: 'server',
    startMs: 1_796_000_000_000.5,
  })
  span.endMs = span.startMs + 2
  span.remoteParent = true
  span.error = true
  span.traceState = 'a=b'
  span.tag('http.method', 'GET')
  const message = encodeSpans([span], { resource: new Map([['service.name', 'svc']]), version: '1' })
  const all = new Map(fields(inside(message, 1, 2, 2)))
  expect(Buffer.from(all.get(1) as Uint8Array).toString('hex')).toBe(span.traceId)
  expect(Buffer.from(all.get(2) as Uint8Array).toString('hex')).toBe(span.spanId)
  expect(Buffer.from(all.get(4) as Uint8Array).toString('hex')).toBe(span.parentId)
  expect([3, 5, 6, 7, 8, 16].map((field) => textOf(all.get(field)))).toEqual([
    'a=b',
    'ingress',
    '2',
    '1796000000000500000',
    '1796000000002500000',
    String(0x301),
  ])
  expect(fields(all.get(15) as Uint8Array)).toEqual([[3, '2']])
  expect(textOf(inside(all.get(9) as Uint8Array, 2, 1))).toBe('GET')
  expect(textOf(inside(message, 1, 1, 1, 2, 1))).toBe('svc')
})

test('tags are of their kinds, where they can be', () => {
  const span = new Span({ traceId: '1', spanId: '2', parentId: '', sampled: true, name: 'n', kind: 'server', startMs: 0 })
  const kinds = [
    ['7', 'int'],
    ['1.5', 'int'],
    ['99999999999999999999', 'int'],
    ['TRUE', 'bool'],
    ['1', 'bool'],
    ['1.5', 'double'],
    ['1x', 'double'],
  ] as const
  for (const [value, kind] of kinds) span.tag('k', value, kind)
  const message = encodeSpans([span], { resource: new Map([['service.name', 'svc']]), version: '1' })
  const values = fields(inside(message, 1, 2, 2))
    .filter(([number]) => number === 9)
    .map(([, attribute]) => fields(inside(attribute as Uint8Array, 2)).map(([number, value]) => [number, textOf(value)])[0])
  const half = Buffer.alloc(8)
  half.writeDoubleLE(1.5)
  const text = (value: string) => [1, value]
  expect(values).toEqual([
    [3, '7'],
    text('1.5'),
    text('99999999999999999999'),
    [2, '1'],
    text('1'),
    [4, String(half.readBigUInt64LE())],
    text('1x'),
  ])
})
