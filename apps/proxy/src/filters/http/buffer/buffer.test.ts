import { Buffer as BufferConfig } from '@weft/contracts/envoy/extensions/filters/http/buffer/v3/buffer'
import { clientPreface, flag, frameType } from '@weft/http/h2/frame'
import { data, FrameLog, frame, headers, post } from '@weft/http/h2/testing/raw-peer'
import { expect, test } from 'vitest'
import { connectionManager, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask, raw } from '../../../testing/worker-harness.ts'

async function proxyOf(maxRequestBytes: number): Promise<number> {
  const up = await upstream((request, response, body) => response.end(`${request.headers['content-length']} ${body}`))
  const config = BufferConfig.encode(BufferConfig.fromPartial({ maxRequestBytes })).finish()
  const buffer = typed('buffer', 'envoy.extensions.filters.http.buffer.v3.Buffer', config)
  const proxy = await proxyTo(up.port, connectionManager([routeTo('c')], { httpFilters: [buffer, routerFilter] }))
  return proxy.port('in')
}

/** The frames that answer a POST by HTTP/2 with these frames of a body. */
async function framesOf(port: number, ...body: Buffer[]): Promise<string> {
  const head = [clientPreface, frame(frameType.settings, 0, 0), headers(1, post, flag.endHeaders)]
  const answer = new FrameLog()
  const lines: string[] = []
  let read = 0
  const hasEnded = (seen: string): boolean => {
    lines.push(...answer.read(Buffer.from(seen.slice(read), 'latin1')))
    read = seen.length
    return lines.some((line) => / 1 .* end$| 1 end$/.test(line))
  }
  await raw(port, Buffer.concat([...head, ...body].map((bytes) => Buffer.from(bytes))).toString('latin1'), hasEnded)
  return lines.join('\n')
}

test('a request goes on as a whole, with its length; one that is too long is answered', async () => {
  const port = await proxyOf(5)
  expect((await ask(port, '/', { method: 'POST', body: '12345' })).body).toBe('5 12345')
  expect((await ask(port, '/', { method: 'POST', body: '123456' })).status).toBe(413)
})

test("HTTP/2's only frame does not count among what is kept, as with Envoy", async () => {
  const port = await proxyOf(5)
  expect(await framesOf(port, data(1, '1234567', flag.endStream))).toContain('DATA 1 7 1234567')
  expect(await framesOf(port, data(1, '123456'), data(1, '7', flag.endStream))).toContain('413')
  expect(await framesOf(port, data(1, '123'), data(1, '4567', flag.endStream))).toContain('413')
})
