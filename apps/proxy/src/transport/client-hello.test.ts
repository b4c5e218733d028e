import net from 'node:net'
import tls from 'node:tls'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { inspectClientHello } from './client-hello.ts'

let hello: Buffer
beforeAll(async () => {
  // A real client's first bytes.
  hello = await new Promise<Buffer>((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.once('data', (bytes) => {
        resolve(bytes)
        socket.destroy()
        server.close()
      })
    })
    server.listen(0, '127.0.0.1', () => {
      const at = server.address()
      if (at === null || typeof at === 'string') return reject(new Error('no port'))
      tls
        .connect({
          ...{ port: at.port, host: '127.0.0.1', servername: 'A.example.test', ALPNProtocols: ['h2', 'http/1.1'] },
          ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256',
        })
        .on('error', () => {})
    })
  })
})

describe('the inspection of first bytes', () => {
  it('reads server name and protocols of a ClientHello, once it is whole', () => {
    for (let i = 0; i < hello.length; i++) expect(inspectClientHello(hello.subarray(0, i)).type).toBe('more')
    expect(inspectClientHello(hello)).toMatchObject({
      type: 'tls',
      hello: { serverName: 'a.example.test', alpn: ['h2', 'http/1.1'], prefersChaCha: true },
    })
  })

  it('reads one that comes in several records', () => {
    const body = hello.subarray(5)
    const record = (part: Buffer) => Buffer.concat([Buffer.of(22, 3, 1, part.length >> 8, part.length & 255), part])
    const split = Buffer.concat([record(body.subarray(0, 50)), record(body.subarray(50))])
    expect(inspectClientHello(split)).toEqual(inspectClientHello(hello))
  })

  it('tells plaintext, and survives any bytes', () => {
    expect(inspectClientHello(Buffer.from('GET / HTTP/1.1\r\n')).type).toBe('plain')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(hello.length), (noise, at) => {
        inspectClientHello(Buffer.from(noise))
        const broken = Buffer.from(hello)
        broken.set(noise.subarray(0, broken.length - at), at)
        inspectClientHello(broken)
      }),
    )
  })

  it('takes none whose lengths lead outside, or that ends behind its extensions, for one', () => {
    const record = (body: Buffer) => Buffer.concat([Buffer.of(22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length), body])
    const body = Buffer.from(`\x03\x03${'r'.repeat(32)}\0\0\x02\xc0\x2f\x01\0\0\0`, 'latin1')
    expect(inspectClientHello(record(body)).type).toBe('tls')
    for (const broken of [body.subarray(0, 1), body.subarray(0, 38), body.subarray(0, -1), Buffer.concat([body, Buffer.of(0)])])
      expect(inspectClientHello(record(broken)).type).toBe('plain')
  })

  it('is one whatever follows it, early data for instance', () => {
    const early = Buffer.from([23, 3, 3, 0, 3, 1, 2, 3])
    expect(inspectClientHello(Buffer.concat([hello, early]))).toEqual(inspectClientHello(hello))
  })
})
