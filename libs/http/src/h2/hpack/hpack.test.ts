import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeaderTable, headerName } from '../../header-table.ts'
import { FieldRecorder } from '../testing/field-recorder.ts'
import { HpackDecoder } from './decoder.ts'
import { HpackEncoder } from './encoder.ts'
import { fieldKind } from './field-kind.ts'
import { decodedBound, decodeHuffman, encodeHuffman, huffmanLength } from './huffman.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

const requestFields = [
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
  [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
]
const date = 'date: Mon, 21 Oct 2013 20:13:21 GMT'
const responseFields = [
  [':status: 302', 'cache-control: private', date, 'location: https://www.example.com'],
  [':status: 307', 'cache-control: private', date, 'location: https://www.example.com'],
  [
    ':status: 200',
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:22 GMT',
    'location: https://www.example.com',
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
]

/** RFC 7541 appendix C: sections, the decoder's table, its blocks, what they say and how large the table is after each. */
const vectors: readonly { section: string; tableSize: number; blocks: string[]; fields: string[][]; sizes: number[] }[] = [
  {
    section: 'C.2.1 literal with indexing',
    tableSize: 4096,
    blocks: ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'],
    fields: [['custom-key: custom-header']],
    sizes: [55],
  },
  {
    section: 'C.2.2 literal without indexing',
    tableSize: 4096,
    blocks: ['040c 2f73 616d 706c 652f 7061 7468'],
    fields: [[':path: /sample/path']],
    sizes: [0],
  },
  {
    section: 'C.2.2 again: a path that came before is the same, another is not',
    tableSize: 4096,
    blocks: [
      '040c 2f73 616d 706c 652f 7061 7468',
      '040c 2f73 616d 706c 652f 7061 7468',
      '040c 2f73 616d 706c 652f 6d61 7468',
      '0400',
    ],
    fields: [[':path: /sample/path'], [':path: /sample/path'], [':path: /sample/math'], [':path: ']],
    sizes: [0, 0, 0, 0],
  },
  {
    section: 'C.2.3 literal never indexed',
    tableSize: 4096,
    blocks: ['1008 7061 7373 776f 7264 0673 6563 7265 74'],
    fields: [['password: secret']],
    sizes: [0],
  },
  { section: 'C.2.4 indexed', tableSize: 4096, blocks: ['82'], fields: [[':method: GET']], sizes: [0] },
  {
    section: 'C.3 requests without Huffman coding',
    tableSize: 4096,
    blocks: [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    fields: requestFields,
    sizes: [57, 110, 164],
  },
  {
    section: 'C.4 requests with Huffman coding',
    tableSize: 4096,
    blocks: [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
    fields: requestFields,
    sizes: [57, 110, 164],
  },
  {
    section: 'C.5 responses without Huffman coding',
    tableSize: 256,
    blocks: [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    fields: responseFields,
    sizes: [222, 222, 215],
  },
  {
    section: 'C.6 responses with Huffman coding',
    tableSize: 256,
    blocks: [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
    fields: responseFields,
    sizes: [222, 222, 215],
  },
]

describe('decoding (RFC 7541 appendix C)', () => {
  for (const { section, tableSize, blocks, fields, sizes } of vectors) {
    it(section, () => {
      const decoder = new HpackDecoder(tableSize)
      const recorder = new FieldRecorder()
      blocks.forEach((block, i) => {
        const bytes = hex(block)
        expect(decoder.decode(bytes, 0, bytes.length, recorder)).toBe(true)
        expect(recorder.take()).toEqual(fields[i])
        expect(decoder.tableSize).toBe(sizes[i])
      })
    })
  }
})

describe('a block that can not be decoded is refused', () => {
  const cases: readonly (readonly [name: string, block: string])[] = [
    ['index 0', '80'],
    ['an index beyond both tables', 'be'],
    ['a name index beyond both tables', '7f00 0161'],
    ['an integer that does not end', 'ffff ffff ff'],
    ['an integer larger than any we take', 'ffff ffff ff7f'],
    ['a string longer than the block', '0005 6162'],
    ['a name without a value', '0001 61'],
    ['EOS in a Huffman string', '0001 6184 ffff ffff'],
    ['Huffman padding of zeros', '0001 6181 18'],
    ['Huffman padding of a whole byte', '0001 6182 1fff'],
    ['a table size above the limit', '3fe2 1f'],
    ['a table size behind a field', '8220'],
  ]
  for (const [name, block] of cases) {
    it(name, () => {
      const bytes = hex(block)
      expect(new HpackDecoder(4096).decode(bytes, 0, bytes.length, new FieldRecorder())).toBe(false)
    })
  }

  it('a peer that goes on with a larger table than it was told', () => {
    const decoder = new HpackDecoder(4096)
    decoder.setLimit(100)
    expect(decoder.decode(hex('82'), 0, 1, new FieldRecorder())).toBe(false)
  })

  it('but not one that says the smaller size first', () => {
    const decoder = new HpackDecoder(4096)
    decoder.setLimit(0)
    const recorder = new FieldRecorder()
    expect(decoder.decode(hex('2082'), 0, 2, recorder)).toBe(true)
    expect(recorder.take()).toEqual([':method: GET'])
  })
})

describe('fields that no message may have', () => {
  it('are told, and their entries remembered as such', () => {
    const decoder = new HpackDecoder(4096)
    const recorder = new FieldRecorder()
    // "Bad: x" with indexing, then by index.
    const bytes = hex('4003 426164 0178 be')
    expect(decoder.decode(bytes, 0, bytes.length, recorder)).toBe(true)
    expect(recorder.refused).toEqual([fieldKind.invalidName, fieldKind.invalidName])
  })

  it('a bad value does not spoil the name for later values', () => {
    const decoder = new HpackDecoder(4096)
    const recorder = new FieldRecorder()
    // "a: \n" with indexing, then "a: b" by that entry's name.
    const bytes = hex('4001 61 010a 7e 0162')
    expect(decoder.decode(bytes, 0, bytes.length, recorder)).toBe(true)
    expect(recorder.refused).toEqual([fieldKind.invalidValue])
    expect(recorder.take()).toEqual(['a: b'])
  })
})

describe('the Huffman code', () => {
  it('gives any bytes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const length = huffmanLength(bytes, 0, bytes.length)
        const coded = new Uint8Array(length + 8)
        expect(encodeHuffman(bytes, 0, bytes.length, coded, 0)).toBe(length)
        const back = new Uint8Array(decodedBound(length) + 1)
        const end = decodeHuffman(coded, 0, length, back, 0)
        expect(Buffer.from(back.subarray(0, end))).toEqual(Buffer.from(bytes))
      }),
    )
  })

  it('writes no more than the bound, whatever is decoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const out = new Uint8Array(decodedBound(bytes.length))
        expect(decodeHuffman(bytes, 0, bytes.length, out, 0)).toBeLessThanOrEqual(out.length)
      }),
    )
  })
})

const fieldNames = [
  'content-type',
  'x-a',
  'x-b',
  'user-agent',
  'cookie',
  'authorization',
  'x-request-id',
  'set-cookie',
  'grpc-status',
]
const anyField = fc.tuple(fc.constantFrom(...fieldNames), fc.stringMatching(/^[!-~]([ -~]{0,60}[!-~])?$/))
const anyMessage = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  path: fc.stringMatching(/^\/[!-~]{0,40}$/),
  status: fc.constantFrom(200, 404, 418, 503),
  fields: fc.array(anyField, { maxLength: 12 }),
  peerLimit: fc.option(fc.constantFrom(0, 64, 200, 4096, 65536), { freq: 5, nil: undefined }),
})

describe('encoding', () => {
  for (const huffman of [true, false]) {
    it(`is understood by the decoder, message after message (Huffman ${huffman ? 'on' : 'off'})`, () => {
      fc.assert(
        fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 30 }), (messages) => {
          const encoder = new HpackEncoder(4096, huffman)
          const decoder = new HpackDecoder(65536)
          const recorder = new FieldRecorder()
          for (const { method, path, status, fields, peerLimit } of messages) {
            if (peerLimit !== undefined) encoder.setPeerLimit(peerLimit)
            const table = new HeaderTable()
            for (const [name, value] of fields) table.append(headerName(name), value)
            const out = Buffer.alloc(HpackEncoder.bound(table) + path.length)
            let at = encoder.begin(out, 0)
            at = encoder.method(method, out, at)
            at = encoder.path(path, out, at)
            at = encoder.status(status, out, at)
            at = encoder.fields(table, out, at)
            expect(at).toBeLessThanOrEqual(out.length)
            expect(decoder.decode(out, 0, at, recorder)).toBe(true)
            expect(recorder.take()).toEqual([
              `:method: ${method}`,
              `:path: ${path}`,
              `:status: ${status}`,
              ...fields.map(([name, value]) => `${name}: ${value}`),
            ])
            expect(encoder.tableSize).toBe(decoder.tableSize)
          }
        }),
      )
    })
  }

  const encoded = (encoder: HpackEncoder, name: string, value: string): Buffer => {
    const table = new HeaderTable()
    table.append(headerName(name), value)
    const out = Buffer.alloc(HpackEncoder.bound(table))
    return out.subarray(0, encoder.fields(table, out, 0))
  }

  it('takes a field into the table when it comes again, and sends it as a byte from then on', () => {
    const encoder = new HpackEncoder()
    expect(encoded(encoder, 'x-tenant', 'blue')[0]).toBe(0)
    expect(encoded(encoder, 'x-tenant', 'blue')[0]).toBe(0x40)
    expect(encoded(encoder, 'x-tenant', 'blue')).toHaveLength(1)
  })

  it('gives the name of values that are always new an index: ids go out as they are, the table keeps one', () => {
    for (const name of ['x-request-id', 'x-envoy-attempt-count', 'x-envoy-upstream-service-time']) {
      const encoder = new HpackEncoder()
      const value = (i: number) => `8f6ba2f1-6d10-4b2e-9f7e-${String(i).padStart(12, '0')}`
      expect(encoded(encoder, name, value(0)).length).toBeGreaterThan(30)
      encoded(encoder, name, value(1))
      const kept = encoder.tableSize
      for (let i = 2; i < 100; i++) {
        const block = encoded(encoder, name, value(i))
        if (name === 'x-request-id') expect(block.subarray(-36).toString()).toBe(value(i))
        expect(block.length).toBeLessThanOrEqual(39)
      }
      expect(encoder.tableSize).toBe(kept)
    }
  })

  it('never indexes what must not be guessed', () => {
    const encoder = new HpackEncoder()
    for (let i = 0; i < 3; i++) {
      expect(encoded(encoder, 'authorization', 'Bearer abc')[0]! & 0xf0).toBe(0x10)
      expect(encoded(encoder, 'cookie', 'pin=1234')[0]! & 0xf0).toBe(0x10)
    }
  })

  it('leaves behind what belongs to a connection of HTTP/1.1', () => {
    const encoder = new HpackEncoder()
    for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host']) {
      expect(encoded(encoder, name, 'x')).toHaveLength(0)
    }
  })
})
