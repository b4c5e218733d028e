import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { Compressor, CompressorPerRoute } from '@weft/contracts/envoy/extensions/filters/http/compressor/v3/compressor'
import { headerName } from '@weft/http/header-name'
import { describe, expect, it, vi } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { chooseEncoding } from './accept-encoding.ts'
import { compressor } from './index.ts'

const prefix = 'type.googleapis.com/envoy.extensions.compression.'

function compile(
  context: FakeContext,
  library: string,
  responseDirectionConfig?: Parameters<typeof Compressor.fromPartial>[0]['responseDirectionConfig'],
) {
  return compressor.compile(
    Compressor.encode(
      Compressor.fromPartial({
        compressorLibrary: { name: 'c', typedConfig: { typeUrl: `${prefix}${library}`, value: Buffer.alloc(0) } },
        ...(responseDirectionConfig === undefined ? {} : { responseDirectionConfig }),
      }),
    ).finish(),
    context,
  )
}

describe('the choice of an encoding', () => {
  const gzip = [{ encoding: 'gzip', first: false }]
  const both = [...gzip, { encoding: 'br', first: false }]
  it.each([
    [null, gzip, 'identity', 'no-header'],
    ['gzip', gzip, 'gzip', 'explicit'],
    ['GZIP', gzip, 'identity', 'not-valid'],
    ['gzip;q=0, *', gzip, 'identity', 'not-valid'],
    ['*', both, 'gzip', 'wildcard'],
    ['identity;q=0.5, gzip', gzip, 'gzip', 'explicit'],
    ['gzip;q=0.5, identity', gzip, 'identity', 'identity'],
    ['br, gzip', both, 'br', 'explicit'],
    ['gzip;q=x', gzip, 'identity', 'not-valid'],
    ['deflate', both, 'identity', 'not-valid'],
    [
      'br, gzip',
      [
        { encoding: 'gzip', first: true },
        { encoding: 'br', first: false },
      ],
      'gzip',
      'explicit',
    ],
  ])('%s of %j is %s (%s)', (header, offered, encoding, reason) => {
    expect(chooseEncoding(header, offered)).toEqual({ encoding, reason })
  })
})

describe('compressor', () => {
  it.each([
    ['gzip.compressor.v3.Gzip', 'gzip', gunzipSync],
    ['brotli.compressor.v3.Brotli', 'br', brotliDecompressSync],
    ['zstd.compressor.v3.Zstd', 'zstd', zstdDecompressSync],
  ])('%s makes what clients take apart, piece by piece', async (library, encoding, decompress) => {
    const context = new FakeContext()
    const stream = new FakeStream({ headers: { 'accept-encoding': encoding } })
    const filter = compile(context, library).start(stream, undefined)
    filter?.onRequestHeaders?.(stream, true)
    stream.response.status = 200
    stream.response.headers.append(headerName('content-length'), '600')
    stream.response.headers.append(headerName('etag'), '"strong"')
    filter?.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.get(headerName('content-encoding'))).toBe(encoding)
    expect(stream.response.headers.get(headerName('vary'))).toBe('Accept-Encoding')
    expect(stream.response.headers.has(headerName('content-length'))).toBe(false)
    expect(stream.response.headers.has(headerName('etag'))).toBe(false)
    expect(filter?.onResponseData?.(stream, Buffer.from('a'.repeat(300)), false)).toBe('taken')
    filter?.onResponseData?.(stream, Buffer.from('b'.repeat(300)), true)
    await vi.waitFor(() => expect(stream.responseEnded).toBe(true))
    expect(decompress(stream.responseData).toString()).toBe('a'.repeat(300) + 'b'.repeat(300))
    filter?.onComplete?.(stream)
    context.close()
  })

  it('flushes what others follow, so that it leaves at once, and ends with the last piece', async () => {
    const context = new FakeContext()
    const compressed = async (...pieces: string[]): Promise<Buffer> => {
      const stream = new FakeStream({ headers: { 'accept-encoding': 'gzip' } })
      const filter = compile(context, 'gzip.compressor.v3.Gzip').start(stream, undefined)
      filter?.onRequestHeaders?.(stream, true)
      stream.response.headers.append(headerName('content-length'), '600')
      filter?.onResponseHeaders?.(stream, false)
      for (const [i, piece] of pieces.entries()) {
        const last = i === pieces.length - 1
        filter?.onResponseData?.(stream, Buffer.from(piece), last)
        if (!last) await vi.waitFor(() => expect(stream.responseData.subarray(-4).toString('hex')).toBe('0000ffff'))
      }
      await vi.waitFor(() => expect(stream.responseEnded).toBe(true))
      filter?.onComplete?.(stream)
      return stream.responseData
    }
    const marks = (bytes: Buffer): number => bytes.toString('hex').split('0000ffff').length - 1
    expect(marks(await compressed('a'.repeat(600)))).toBe(0)
    expect(marks(await compressed('a'.repeat(300), 'b'.repeat(300)))).toBe(1)
    context.close()
  })

  it.each([
    [{ 'content-length': '29' }, false],
    [{ 'content-length': '600', 'content-type': 'image/png' }, false],
    [{ 'content-length': '600', 'cache-control': 'public, no-transform' }, false],
    [{ 'content-length': '600', 'content-encoding': 'br' }, false],
    [{ 'content-length': '600', 'content-type': 'text/html; charset=utf-8' }, true],
  ])('leaves alone what is not worth it: %j', (headers, compressed) => {
    const context = new FakeContext()
    const stream = new FakeStream({ headers: { 'accept-encoding': 'gzip' } })
    const filter = compile(context, 'gzip.compressor.v3.Gzip').start(stream, undefined)
    filter?.onRequestHeaders?.(stream, true)
    for (const [name, value] of Object.entries(headers)) stream.response.headers.append(headerName(name), value)
    filter?.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.get(headerName('content-encoding')) === 'gzip').toBe(compressed)
    filter?.onComplete?.(stream)
    context.close()
  })

  it.each([
    [{ 'content-length': '600' }, 'gzip;Compressed;OriginalLength=600'],
    [{ 'content-length': '5', 'content-type': 'image/png' }, 'gzip;ContentLengthTooSmall'],
    [{ 'content-length': '600', 'content-type': 'image/png' }, 'gzip;ContentTypeNotAllowed'],
    [{ 'content-length': '600', etag: '"x"' }, 'gzip;EtagNotAllowed'],
    [{ 'content-length': '5', 'content-encoding': 'br' }, null],
  ])('tells what became of a response: %j', (headers, told) => {
    const context = new FakeContext()
    const stream = new FakeStream({ headers: { 'accept-encoding': 'gzip' } })
    const direction = { statusHeaderEnabled: true, disableOnEtagHeader: true }
    const filter = compile(context, 'gzip.compressor.v3.Gzip', direction).start(stream, undefined)
    filter?.onRequestHeaders?.(stream, true)
    for (const [name, value] of Object.entries(headers)) stream.response.headers.append(headerName(name), value)
    filter?.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.get(headerName('x-envoy-compression-status'))).toBe(told)
    filter?.onComplete?.(stream)
    context.close()
  })

  it.each([
    ['text/x-own', true],
    ['text/html', false],
  ])('takes types by matchers, where there are any: %s', (type, compressed) => {
    const context = new FakeContext()
    const stream = new FakeStream({ headers: { 'accept-encoding': 'gzip' } })
    const contentTypeMatcher = [{ matchPattern: { $case: 'prefix' as const, value: 'text/x-' } }]
    const direction = { commonConfig: { contentTypeMatcher } }
    const filter = compile(context, 'gzip.compressor.v3.Gzip', direction).start(stream, undefined)
    filter?.onRequestHeaders?.(stream, true)
    stream.response.headers.append(headerName('content-type'), type)
    filter?.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.has(headerName('content-encoding'))).toBe(compressed)
    filter?.onComplete?.(stream)
    context.close()
  })

  it('uses the library that a route names', () => {
    const context = new FakeContext()
    const stream = new FakeStream({ headers: { 'accept-encoding': 'gzip, br' } })
    const override = CompressorPerRoute.fromPartial({
      override: {
        $case: 'overrides',
        value: {
          compressorLibrary: {
            name: 'b',
            typedConfig: { typeUrl: `${prefix}brotli.compressor.v3.Brotli`, value: Buffer.alloc(0) },
          },
        },
      },
    })
    const route = compressor.compileRouteConfig?.(CompressorPerRoute.encode(override).finish(), '', context)
    const filter = compile(context, 'gzip.compressor.v3.Gzip').start(stream, route)
    filter?.onRequestHeaders?.(stream, true)
    filter?.onResponseHeaders?.(stream, false)
    expect(stream.response.headers.get(headerName('content-encoding'))).toBe('br')
    filter?.onComplete?.(stream)
    context.close()
  })
})
