import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { Decompressor } from '@weft/contracts/envoy/extensions/filters/http/decompressor/v3/decompressor'
import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import type { HttpFilter } from '../filter.ts'
import { decompressor } from './index.ts'

const contentEncoding = headerName('content-encoding')

function start(
  stream: FakeStream,
  library = 'gzip.decompressor.v3.Gzip',
  more: Parameters<typeof Decompressor.fromPartial>[0] = {},
) {
  const context = new FakeContext()
  const typedConfig = { typeUrl: `type.googleapis.com/envoy.extensions.compression.${library}`, value: Buffer.alloc(0) }
  const source = Decompressor.fromPartial({ decompressorLibrary: { name: 'lib', typedConfig }, ...more })
  const filter = decompressor.compile(Decompressor.encode(source).finish(), context).start(stream, undefined)!
  onTestFinished(() => {
    filter.onComplete?.(stream)
    context.close()
  })
  return { context, filter }
}

/** The response's body, by pieces, and what the client gets of it. */
async function respond(filter: HttpFilter, stream: FakeStream, encoding: string, ...pieces: Buffer[]): Promise<string> {
  stream.response.headers.append(contentEncoding, encoding)
  stream.response.headers.append(headerName('content-length'), '7')
  filter.onResponseHeaders?.(stream, false)
  for (const [i, piece] of pieces.entries()) filter.onResponseData?.(stream, piece, i === pieces.length - 1)
  await vi.waitFor(() => expect(stream.responseEnded).toBe(true))
  return stream.responseData.toString()
}

describe('decompressor', () => {
  it.each([
    ['gzip.decompressor.v3.Gzip', 'gzip', gzipSync],
    ['brotli.decompressor.v3.Brotli', 'br', brotliCompressSync],
    ['zstd.decompressor.v3.Zstd', 'zstd', zstdCompressSync],
  ])('%s gives what was compressed, piece by piece, and tells its length', async (library, encoding, compress) => {
    const stream = new FakeStream()
    const { filter } = start(stream, library)
    const body = compress(Buffer.from('to be or not to be '.repeat(50)))
    expect(await respond(filter, stream, encoding, body.subarray(0, 9), body.subarray(9))).toBe('to be or not to be '.repeat(50))
    expect(stream.response.headers.has(contentEncoding)).toBe(false)
    expect(stream.response.headers.has(headerName('content-length'))).toBe(false)
    expect(stream.responseTrailers?.get(headerName('x-envoy-decompressor-lib-compressed-bytes'))).toBe(`${body.length}`)
    expect(stream.responseTrailers?.get(headerName('x-envoy-decompressor-lib-uncompressed-bytes'))).toBe('950')
  })

  it.each([
    ['GZIP', null, true],
    ['gzip, br', 'br', true],
    ['br, gzip', 'br, gzip', false],
    ['x-gzip', 'x-gzip', false],
  ])('of a body that is %s, %s is left', (encoding, left, decompressed) => {
    const stream = new FakeStream()
    const { filter, context } = start(stream)
    stream.response.headers.append(contentEncoding, encoding)
    filter.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.get(contentEncoding)).toBe(left)
    expect(context.counter('http.test.decompressor.lib.gzip.response.decompressed')).toBe(decompressed ? 1 : 0)
    expect(context.counter('http.test.decompressor.lib.gzip.response.not_decompressed')).toBe(decompressed ? 0 : 1)
  })

  it.each([
    [{}, false],
    [{ commonConfig: { ignoreNoTransformHeader: true } }, true],
    [{ commonConfig: { ignoreNoTransformHeader: true, enabled: { defaultValue: false, runtimeKey: 'k' } } }, false],
  ])('leaves what must not be transformed, unless told otherwise: %j', (responseDirectionConfig, decompressed) => {
    const stream = new FakeStream()
    const { filter } = start(stream, undefined, { responseDirectionConfig })
    stream.response.headers.append(contentEncoding, 'gzip')
    stream.response.headers.append(headerName('cache-control'), 'public, No-Transform')
    filter.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.has(contentEncoding)).toBe(!decompressed)
  })

  it.each([
    [undefined, 'gzip'],
    ['br;q=0.5', 'br;q=0.5,gzip'],
    ['gzip;q=0, br', 'br,gzip'],
  ])('tells endpoints that it understands gzip, beside %s', (accepted, told) => {
    const stream = new FakeStream({ headers: accepted === undefined ? {} : { 'accept-encoding': accepted } })
    start(stream).filter.onRequestHeaders?.(stream, true)
    expect(stream.request.headers.get(headerName('accept-encoding'))).toBe(told)
  })

  it('decompresses requests, and adds to the trailers that they have', async () => {
    const stream = new FakeStream({ headers: { 'content-encoding': 'gzip' } })
    const { filter } = start(stream, undefined, { requestDirectionConfig: { advertiseAcceptEncoding: false } })
    filter.onRequestHeaders?.(stream, false)
    expect(stream.request.headers.has(headerName('accept-encoding'))).toBe(false)
    filter.onRequestData?.(stream, gzipSync('a request'), false)
    const trailers = new HeaderTable()
    expect(filter.onRequestTrailers?.(stream, trailers)).toBe('stop')
    await vi.waitFor(() => expect(stream.requestsContinued).toBe(1))
    expect(stream.requestData).toBe('a request')
    expect(trailers.get(headerName('x-envoy-decompressor-lib-uncompressed-bytes'))).toBe('9')
  })

  it('ends a body that becomes too many times larger, counts it, and takes what still comes', async () => {
    const stream = new FakeStream()
    const { filter, context } = start(stream)
    const bomb = gzipSync(Buffer.alloc(4_000_000))
    const body = await respond(filter, stream, 'gzip', bomb, Buffer.alloc(100_000), Buffer.alloc(100_000))
    expect(body.length).toBeLessThan(bomb.length * 100 + 4097)
    expect(context.counter('http.test.decompressor.lib.gzip.decompressor_library.zlib_data_error')).toBe(1)
  })

  it('lets trailers follow a body that was nothing of the kind', async () => {
    const stream = new FakeStream()
    const { filter, context } = start(stream)
    stream.response.headers.append(contentEncoding, 'gzip')
    filter.onResponseHeaders?.(stream, false)
    filter.onResponseData?.(stream, Buffer.from('plain text'), false)
    const errors = () => context.counter('http.test.decompressor.lib.gzip.decompressor_library.zlib_data_error')
    await vi.waitFor(() => expect(errors()).toBe(1))
    expect(filter.onResponseTrailers?.(stream, new HeaderTable())).toBe('stop')
    expect(stream.responsesContinued).toBe(0)
    await vi.waitFor(() => expect(stream.responsesContinued).toBe(1))
  })

  it('gives what there is of a body that was cut off', async () => {
    const stream = new FakeStream()
    const { filter } = start(stream)
    const whole = gzipSync('abcdefghij'.repeat(3))
    expect('abcdefghij'.repeat(3)).toContain(await respond(filter, stream, 'gzip', whole.subarray(0, 18)))
  })
})
