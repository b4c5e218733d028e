import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headerGroup, headerName, singleInRequests } from './header-name.ts'
import { HeaderTable } from './header-table.ts'

function written(table: HeaderTable): string {
  const out = Buffer.alloc(table.writeBound)
  return out.latin1Slice(0, table.write(out, 0))
}

describe('a header table', () => {
  it('finds well-known and other names, first value and all', () => {
    const table = new HeaderTable()
    table.append(headerName('Cookie'), 'a=1')
    table.append(headerName('x-own'), 'one')
    table.append(headerName('cookie'), 'b=2')
    table.append(headerName('x-own'), 'two')
    expect(table.get(headerName('cookie'))).toBe('a=1')
    expect(table.getAll(headerName('cookie'), '; ')).toBe('a=1; b=2')
    expect(table.getAll(headerName('X-Own'))).toBe('one,two')
    expect(table.countOf(headerName('x-own'))).toBe(2)
    expect(table.get(headerName('x-none'))).toBeNull()
  })

  it('sets at the place of the first, and drops the others', () => {
    const table = new HeaderTable()
    table.append(headerName('a'), '1')
    table.append(headerName('server'), 'x')
    table.append(headerName('b'), '2')
    table.append(headerName('server'), 'y')
    table.set(headerName('server'), 'weft')
    expect(written(table)).toBe('a: 1\r\nserver: weft\r\nb: 2\r\n')
    expect(table.size).toBe(3)
  })

  it('finds texts that a wire would take for more than one header', () => {
    const table = new HeaderTable()
    table.append(headerName('x-tab'), 'a\tb\xff')
    expect(table.findBroken()).toBe(-1)
    const other = new HeaderTable()
    for (const text of ['a\nb', 'a\rb', 'a\0b', '\x7f', '\u010a']) other.append(headerName('x-own'), text)
    other.append(headerName('x-long'), `${'a'.repeat(100)}\r\nx-evil: 1`)
    other.set(headerName('via'), 'fine')
    table.copyFrom(other)
    expect(table.nameAt(table.findBroken())).toBe('x-own')
    table.removeBroken()
    expect(table.findBroken()).toBe(-1)
    expect(written(table)).toBe('x-tab: a\tb\xff\r\nvia: fine\r\n')
  })

  it('says of a group of names that none is there', () => {
    const group = headerGroup([headerName('via'), headerName('etag')])
    const table = new HeaderTable()
    table.append(headerName('date'), 'now')
    table.append(headerName('x-own'), '1')
    expect(table.mayHave(group)).toBe(false)
    table.set(headerName('etag'), '"1"')
    expect(table.mayHave(group)).toBe(true)
    table.clear()
    expect(table.mayHave(group)).toBe(false)
    expect(() => headerGroup([headerName('x-own')])).toThrow("'x-own' is no well-known header name")
  })

  it('takes values that are written in place', () => {
    const table = new HeaderTable()
    const put = (text: string) => {
      const at = table.setRoom(headerName('etag'), text.length)
      table.buffer.latin1Write(text, at)
    }
    put('new')
    table.append(headerName('b'), '2')
    expect(written(table)).toBe('etag: new\r\nb: 2\r\n')
    put('other')
    expect(written(table)).toBe('etag: other\r\nb: 2\r\n')
  })

  it('forgets a removed name, and finds it again when it comes again', () => {
    const table = new HeaderTable()
    table.append(headerName('date'), 'then')
    expect(table.remove(headerName('date'))).toBe(true)
    expect(table.has(headerName('date'))).toBe(false)
    table.append(headerName('date'), 'now')
    expect(table.get(headerName('date'))).toBe('now')
    expect(written(table)).toBe('date: now\r\n')
  })

  it('keeps the next of a name when the first entry alone is removed', () => {
    const table = new HeaderTable()
    table.append(headerName('via'), '1')
    table.append(headerName('via'), '2')
    table.removeAt(table.find(headerName('via')))
    expect(table.get(headerName('via'))).toBe('2')
  })

  it('behaves as a list of pairs does, whatever is done to it', () => {
    // Of slots in each of the table's four words, and without one.
    const names = ['host', 'cookie', 'x-envoy-internal', 'x-envoy-original-host', 'x-envoy-degraded', 'x-a', 'x-b']
    const edit = fc.record({
      what: fc.constantFrom('append', 'append', 'set', 'remove', 'remove-first', 'clear'),
      name: fc.constantFrom(...names),
      value: fc.stringMatching(/^[a-z0-9]{0,40}$/),
    })
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 60 }), (edits) => {
        const table = new HeaderTable()
        let list: [string, string][] = []
        for (const { what, name, value } of edits) {
          const header = headerName(name)
          if (what === 'append') {
            table.append(header, value)
            list.push([name, value])
          } else if (what === 'set') {
            table.set(header, value)
            const at = list.findIndex(([one]) => one === name)
            if (at < 0) list.push([name, value])
            else
              list = list.filter(([one], i) => one !== name || i === at).map((pair) => (pair[0] === name ? [name, value] : pair))
          } else if (what === 'remove') {
            table.remove(header)
            list = list.filter(([one]) => one !== name)
          } else if (what === 'remove-first') {
            const at = list.findIndex(([one]) => one === name)
            if (at >= 0) table.removeAt(table.find(header))
            list = list.filter((_, i) => i !== at)
          } else {
            table.clear()
            list = []
          }
        }
        expect(written(table)).toBe(list.map(([name, value]) => `${name}: ${value}\r\n`).join(''))
        for (const name of names) {
          const values = list.filter(([one]) => one === name).map(([, value]) => value)
          expect(table.get(headerName(name))).toBe(values[0] ?? null)
          expect(table.getAll(headerName(name))).toBe(values.length === 0 ? null : values.join(','))
          expect(table.countOf(headerName(name))).toBe(values.length)
        }
      }),
    )
  })

  it('makes one of several where only one is kept, and leaves the others', () => {
    const table = new HeaderTable()
    const bytes = Buffer.from('accept: a\r\ncookie: b\r\naccept: c\r\ncookie: d\r\n')
    let at = 0
    bytes.copy(table.buffer)
    table.used = bytes.length
    for (const line of bytes.toString().trimEnd().split('\r\n')) {
      const colon = at + line.indexOf(':')
      table.add(bytes, 0, at, colon, colon + 2, at + line.length, true)
      at += line.length + 2
    }
    expect(table.repeated).toBe(true)
    table.joinRepeated(singleInRequests)
    const out: string[] = []
    table.forEach((name, value) => {
      out.push(`${name}: ${value}`)
    })
    expect(out).toEqual(['accept: a,c', 'cookie: b', 'cookie: d'])
    table.clear()
    expect(table.repeated).toBe(false)
  })
})
