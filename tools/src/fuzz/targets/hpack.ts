import { HpackDecoder } from '@weft/http/h2/hpack/decoder'
import { HpackEncoder } from '@weft/http/h2/hpack/encoder'
import { MessageFields } from '@weft/http/h2/message-fields'
import { HeaderTable } from '@weft/http/header-table'
import { RequestHead } from '@weft/http/message'
import type { FuzzTarget } from '../target.ts'

const maxBytes = 8192
const hex = (text: string): Uint8Array => Buffer.from(text, 'hex')

/** Blocks, each behind its length. */
function block(...blocks: string[]): Uint8Array {
  return Buffer.concat(
    blocks.map((text) => {
      const bytes = Buffer.from(text, 'hex')
      return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length]), bytes])
    }),
  )
}

/**
 * Header blocks (each with its length before it) → fields → judged as requests. Whatever is accepted is encoded and decoded
 * again, and has to be the same.
 */
export const hpack: FuzzTarget = {
  seeds: [
    block('828684410f7777772e6578616d706c652e636f6d'),
    block('828684418cf1e3c2e5f23a6ba0ab90f4ff', '828684be5886a8eb10649cbf'),
    block('828684418cf1e3c2e5f23a6ba0ab90f4ff', '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'),
    block('3fe11f82868441016140016101624001610163', 'be828684410161'),
  ],
  words: [
    hex('40'),
    hex('0f'),
    hex('10'),
    hex('3fe11f'),
    hex('20'),
    hex('be'),
    hex('ff80808000'),
    hex('ffffffff'),
    hex('0a'),
    hex('00'),
    hex('0d0a'),
  ],
  run(input) {
    const bytes = Buffer.from(input)
    const decoder = new HpackDecoder(4096)
    const fields = new MessageFields(maxBytes, 100)
    const head = new RequestHead()
    const encoder = new HpackEncoder()
    const again = new HpackDecoder(4096)
    let at = 0
    while (at + 2 <= bytes.length) {
      const end = Math.min(bytes.length, at + 2 + bytes.readUInt16BE(at))
      head.clear()
      fields.begin('request', head.headers)
      const understood = decoder.decode(bytes, at + 2, end, fields)
      at = end
      if (head.headers.used > maxBytes + 4096) throw new Error(`${head.headers.used} bytes of headers were kept`)
      if (decoder.tableSize > 4096) throw new Error('the dynamic table is larger than its limit')
      if (!understood) return
      if (fields.full || fields.finishRequest(head, true) !== '') continue
      head.headers.forEach((name, value) => {
        if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || /[\r\n\0]/.test(value))
          throw new Error(`came through: ${name}: ${value}`)
      })
      const out = Buffer.alloc(HpackEncoder.bound(head.headers))
      const length = encoder.fields(head.headers, out, encoder.begin(out, 0))
      const copy = new MessageFields(maxBytes, 100)
      copy.begin('trailers', new HeaderTable())
      if (!again.decode(out, 0, length, copy) || copy.malformed !== '') {
        throw new Error(`what was encoded can not be decoded: ${copy.malformed}`)
      }
      if (linesOf(head.headers) !== linesOf(copy.table)) throw new Error('another message came out')
    }
  },
}

/** Without blanks around values, which joined cookies may have and no decoder leaves. */
function linesOf(table: HeaderTable): string {
  let lines = ''
  table.forEach((name, value) => {
    lines += `${name}: ${value.replace(/^[ \t]+|[ \t]+$/g, '')}\n`
  })
  return lines
}
