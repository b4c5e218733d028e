import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { describe, expect, test } from 'vitest'
import { Span } from './span.ts'
import { readB3, readW3c, writeB3, writeW3c } from './trace-headers.ts'

function headers(fields: Record<string, string>): HeaderTable {
  const table = new HeaderTable()
  for (const [name, value] of Object.entries(fields)) table.append(headerName(name), value)
  return table
}

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const parent = '00f067aa0ba902b7'

describe('W3C trace context', () => {
  test('is read with its state', () => {
    expect(readW3c(headers({ traceparent: `00-${trace}-${parent}-01`, tracestate: 'a=b' }))).toEqual({
      traceId: trace,
      spanId: parent,
      parentId: '',
      sampled: true,
      traceState: 'a=b',
    })
    expect(readW3c(headers({ traceparent: `00-${trace}-${parent}-02` }))?.sampled).toBe(false)
    expect(readW3c(headers({ traceparent: `01-${trace}-${parent}-01-more` }))?.traceId).toBe(trace)
  })

  test.each([
    '',
    `00-${trace}-${parent}`,
    `ff-${trace}-${parent}-01`,
    `00-${trace}-${parent}-01-more`,
    `00-${'0'.repeat(32)}-${parent}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${parent}-01`,
    `00-${trace}-${parent}-0g`,
  ])('%j is none', (traceparent) => {
    expect(readW3c(headers({ traceparent }))).toBeNull()
  })

  test('is written, short ids made long', () => {
    const table = headers({ traceparent: 'old' })
    writeW3c(
      new Span({ traceId: parent, spanId: parent, parentId: '', sampled: false, name: 'n', kind: 'server', startMs: 0 }),
      table,
    )
    expect(table.get(headerName('traceparent'))).toBe(`00-${'0'.repeat(16)}${parent}-${parent}-00`)
  })
})

describe('B3', () => {
  test.each([
    [{ b3: `${trace}-${parent}-1-${parent}` }, { traceId: trace, spanId: parent, parentId: parent, sampled: true }],
    [{ b3: `${parent}-${parent}` }, { traceId: parent, spanId: parent, parentId: '', sampled: null }],
    [{ b3: `${trace}-${parent}-d` }, { traceId: trace, sampled: true }],
    [{ b3: '0' }, { sampled: false }],
    [
      { 'x-b3-traceid': trace, 'x-b3-spanid': parent, 'x-b3-sampled': '0' },
      { traceId: trace, spanId: parent, sampled: false },
    ],
    [
      { 'x-b3-traceid': trace, 'x-b3-spanid': parent, 'x-b3-flags': '1' },
      { traceId: trace, sampled: true },
    ],
    [{ 'x-b3-sampled': '1' }, { sampled: true }],
  ])('%j', (fields, context) => {
    expect(readB3(headers(fields))).toMatchObject(context)
  })

  const nothing: Record<string, string>[] = [{}, { b3: 'x-y' }, { 'x-b3-traceid': 'short', 'x-b3-spanid': parent }]
  test.each(nothing)('%j says nothing', (fields) => {
    expect(readB3(headers(fields))).toBeNull()
  })

  test('is written in several headers', () => {
    const table = new HeaderTable()
    const span = new Span({
      traceId: trace,
      spanId: parent,
      parentId: parent,
      sampled: true,
      name: 'n',
      kind: 'client',
      startMs: 0,
    })
    writeB3(span, table)
    expect(readB3(table)).toMatchObject({ traceId: trace, spanId: parent, parentId: parent, sampled: true })
    const single = headers({ b3: '1' })
    writeB3(span, single)
    expect(single.get(headerName('b3'))).toBe(`${trace}-${parent}-1-${parent}`)
    expect(single.has(headerName('x-b3-traceid'))).toBe(false)
  })
})
