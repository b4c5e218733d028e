import { createServer } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../random.ts'
import { choppedFeed, wholeFeed } from './feed.ts'
import { forwarded } from './forward.ts'
import { serverTranscript } from './server-transcript.ts'
import { smuggles } from './smuggling.ts'

/** Upstreams of another make: one that is strict, and one that lets pass what it can. */
const upstreams = [createServer(), createServer({ insecureHTTPParser: true })]
let seen: string[] = []

beforeAll(async () => {
  for (const upstream of upstreams) {
    upstream.on('request', (request, response) => {
      seen.push(request.url ?? '')
      request.resume().once('end', () => response.end('ok'))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  }
})

afterAll(() => {
  for (const upstream of upstreams) {
    upstream.closeAllConnections()
    upstream.close()
  }
})

/** The paths that an upstream sees when these bytes are all that comes. */
async function atUpstream(upstream: (typeof upstreams)[number], bytes: Buffer): Promise<string[]> {
  const address = upstream.address()
  if (address === null || typeof address === 'string') throw new Error('the upstream has no port')
  seen = []
  await new Promise<void>((resolve) => {
    const socket = connect(address.port, '127.0.0.1', () => socket.end(bytes))
    socket.resume().once('close', () => resolve())
    socket.on('error', () => {})
  })
  return seen
}

describe('smuggled requests', () => {
  it.each(smuggles.map((smuggle) => [smuggle.name, smuggle] as const))(
    '%s: no upstream sees one more',
    async (_name, smuggle) => {
      for (const options of [{}, { acceptHttp10: true, allowChunkedLength: true, enableTrailers: true }]) {
        const random = seededRandom(7)
        const whole = await serverTranscript(wholeFeed(smuggle.bytes), { options })
        expect(await serverTranscript(choppedFeed(smuggle.bytes, random, 1, false), { options })).toEqual(whole)
        const complete = whole.requests.filter(({ end }) => end === 'complete')
        // Where chunks win over a length by configuration, what stands behind the last chunk is a request to everyone.
        const allowed = options.allowChunkedLength === true && complete.length === 2 ? ['/first', '/smuggled'] : smuggle.allowed
        expect(allowed.slice(0, complete.length)).toEqual(complete.map(({ path }) => path))
        for (const request of complete) {
          for (const upstream of upstreams) expect(await atUpstream(upstream, forwarded(request))).toEqual([request.path])
        }
      }
    },
  )

  it('is told by the test: an upstream that is given two requests sees two', async () => {
    const two = 'GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n'
    expect(await atUpstream(upstreams[0]!, Buffer.from(two))).toEqual(['/first', '/smuggled'])
  })

  it('does not let anything without an end grow', async () => {
    const endless: [string, string][] = [
      ['GET / HTTP/1.1\r\nhost: a\r\nx: ', 'y'],
      ['GET /', 'y'],
      ['GET / HTTP/1.1\r\n', 'x: y\r\n'],
      ['POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;', 'y'],
      ['POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n', '1;y\r\na\r\n'.replace('y', 'y'.repeat(1000))],
      ['POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ', 'y'],
      ['POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n', 'x: y\r\n'],
    ]
    for (const [start, more] of endless) {
      const stream = Buffer.from(start + more.repeat(Math.ceil(200_000 / more.length)))
      const transcript = await serverTranscript(choppedFeed(stream, seededRandom(1), 8192, false))
      expect(transcript.closed, start).toBe(true)
      expect(transcript.requests.at(-1)?.end, start).toMatch(/^refused 4/)
    }
  })
})
