import { isDeepStrictEqual } from 'node:util'
import { clientTranscript } from '../http1/client-transcript.ts'
import { choppedFeed, type Feed, wholeFeed } from '../http1/feed.ts'
import { forwarded } from '../http1/forward.ts'
import { type ServerBehaviour, type ServerTranscript, serverTranscript } from '../http1/server-transcript.ts'
import { seededRandom } from '../random.ts'
import { type FuzzTarget, utf8 } from '../target.ts'

const requests = [
  'GET / HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n',
  'POST /p?q=1 HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 5\r\n\r\nhello',
  'PUT /c HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;n="v;w"\r\nhello\r\n0a\r\n0123456789\r\n0\r\nx-t: 1\r\n\r\n',
  'GET http://b.test:81/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, x-a\r\nx-a: 1\r\n\r\n',
  'CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\nbytes',
  'GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nframes',
  'GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n',
  'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc',
  'GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\r\nHEAD /2 HTTP/1.1\r\nhost: a\r\n\r\nPOST /3 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok',
]

const responses = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nframes',
  'HTTP/1.0 200 OK\r\n\r\nuntil the end',
  'HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\netag: "a"\r\n\r\n',
]

/** Small limits too, so that inputs of some hundred bytes reach them. */
const behaviours: readonly ServerBehaviour[] = [
  {},
  {
    takeUpgrades: true,
    options: {
      ...{ acceptHttp10: true, defaultHost: 'old.test', allowChunkedLength: true, enableTrailers: true },
      ...{ maxHeadBytes: 200, maxHeaders: 6 },
    },
  },
]

/**
 * HTTP/1.1 streams, as a server and as a client read them: the same whatever the pieces they come in and whoever pauses,
 * and what goes on to an upstream reads there as the same requests.
 */
export const http1: FuzzTarget = {
  seeds: utf8(...requests, ...responses),
  words: utf8(
    ...['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ';', ',', '0\r\n\r\n', '\r\n\r\n', '\r\n ', '\x0b', 'chunked', 'identity'],
    ...['Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'content-length:\t+5\r\n', 'content-length: 5, 5\r\n'],
    ...['Transfer-Encoding: chunked\r\n', 'transfer-encoding:\x0bchunked\r\n', 'Transfer-Encoding : chunked\r\n'],
    ...['transfer-encoding: gzip, chunked\r\n', 'Host: b\r\n', 'Host:\r\n', 'Connection: close\r\n', 'connection: host\r\n'],
    ...['HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/1.1 200 OK\r\n', 'GET / HTTP/1.1\r\n', 'CONNECT ', 'HEAD ', ' HTTP/1.1\r\n'],
    ...[
      'ffffffffffffffff\r\n',
      '1;a=b\r\n',
      '00000001\r\n',
      'x-a: 1\r\n',
      'upgrade: h2c\r\n',
      '%00',
      '\xff',
      `${'a'.repeat(200)}`,
    ],
  ),
  async run(input) {
    const random = seededRandom(input.reduce((hash, byte) => (Math.imul(hash, 31) + byte) >>> 0, input.length))
    for (const behaviour of behaviours) {
      const whole = await serverTranscript(wholeFeed(input), behaviour)
      for (const feed of choppings(input, random)) same('requests', whole, await serverTranscript(feed, behaviour))
      await roundTrip(whole)
    }
    const method = ['GET', 'HEAD', 'CONNECT'][random(3)] ?? 'GET'
    const upgrade = method === 'GET' && random(3) === 0
    const options = random(2) === 0 ? {} : { enableTrailers: true, allowChunkedLength: true, maxHeadBytes: 200, maxHeaders: 6 }
    const whole = await clientTranscript(wholeFeed(input), method, upgrade, options)
    for (const feed of choppings(input, random))
      same('the response', whole, await clientTranscript(feed, method, upgrade, options))
  },
}

function choppings(input: Uint8Array, random: (limit: number) => number): Feed[] {
  const feeds = [choppedFeed(input, random, 64, false), choppedFeed(input, random, 16, true)]
  if (input.length <= 1024) feeds.push(choppedFeed(input, random, 1, false))
  return feeds
}

function same(what: string, whole: unknown, pieces: unknown): void {
  if (isDeepStrictEqual(whole, pieces)) return
  throw new Error(`${what} differ by how the bytes are cut:\nwhole:  ${JSON.stringify(whole)}\npieces: ${JSON.stringify(pieces)}`)
}

/** What was understood as one request is one request, the same, to the next who reads it. */
async function roundTrip({ requests }: ServerTranscript): Promise<void> {
  for (const request of requests) {
    if (request.end !== 'complete' || request.method === 'CONNECT' || request.authority === '') continue
    const bytes = forwarded(request)
    const next = await serverTranscript(wholeFeed(bytes), { options: { maxHeadBytes: 1 << 20, maxHeaders: 1000 } })
    const [only, ...more] = next.requests
    const kept = (seen: typeof request): unknown[] => [seen.method, seen.path, seen.authority, seen.body, seen.end]
    if (only === undefined || more.length > 0 || !isDeepStrictEqual(kept(request), kept(only)))
      throw new Error(
        `one request reads as another behind the proxy:\n${JSON.stringify(request)}\n${JSON.stringify(next.requests)}`,
      )
  }
}
