import { inspectClientHello } from '@weft/proxy/transport/client-hello'
import type { FuzzTarget } from '../target.ts'

/** A ClientHello of TLS 1.3 for `a.test` that offers h2 and http/1.1, in records of so many bytes. */
function hello(recordBytes: number): Buffer {
  const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff])
  const sized = (body: Buffer) => Buffer.concat([u16(body.length), body])
  const extension = (type: number, body: Buffer) => Buffer.concat([u16(type), sized(body)])
  const name = Buffer.from('a.test')
  const extensions = Buffer.concat([
    extension(0, sized(Buffer.concat([Buffer.from([0]), sized(name)]))),
    extension(16, sized(Buffer.from('\x02h2\x08http/1.1', 'latin1'))),
    extension(43, Buffer.from([2, 3, 4])),
  ])
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    sized(u16(0x1301)),
    Buffer.from([1, 0]),
    sized(extensions),
  ])
  const message = Buffer.concat([Buffer.from([1, 0]), sized(body)])
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += recordBytes)
    records.push(Buffer.from([22, 3, 1]), sized(message.subarray(at, at + recordBytes)))
  return Buffer.concat(records)
}

/** A connection's first bytes → whether they are TLS, the same whether they come at once or not, and whatever follows. */
export const clientHello: FuzzTarget = {
  seeds: [
    hello(16384),
    hello(20),
    Buffer.concat([hello(16384), Buffer.from([23, 3, 3, 0, 1, 9])]),
    Buffer.from('GET / HTTP/1.1\r\n'),
  ],
  words: [
    Buffer.from([22, 3, 1]),
    Buffer.from([0, 16]),
    Buffer.from([0, 0]),
    Buffer.from([255, 255]),
    Buffer.from([22, 3, 3, 0, 1, 1]),
  ],
  run(input) {
    const bytes = Buffer.from(input)
    const all = inspectClientHello(bytes)
    const lengths = new Set([1, 5, 9, 43, bytes.length >> 1, bytes.length - 1])
    for (const length of lengths) {
      if (length < 0 || length > bytes.length) continue
      const part = inspectClientHello(bytes.subarray(0, length))
      if (part.type !== 'more' && JSON.stringify(part) !== JSON.stringify(all))
        throw new Error(`${length} bytes are ${JSON.stringify(part)}, all are ${JSON.stringify(all)}`)
    }
    if (all.type !== 'tls') return
    const kept = all.hello.serverName.length + all.hello.alpn.join('').length
    if (kept > bytes.length) throw new Error('more was read than there is')
  },
}
