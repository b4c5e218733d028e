import { MemorySink } from '@weft/http/byte-sink'
import { defaultClientOptions, Http1ClientConnection, type Http1ClientOptions } from '@weft/http/h1/client-connection'
import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingResponse } from '@weft/http/stream'
import type { Feed } from './feed.ts'
import { entries } from './server-transcript.ts'

export interface SeenResponse {
  interim: string[]
  status: number
  version: number
  headers: [name: string, value: string][]
  body: string
  trailers: [name: string, value: string][]
  end: string
}

/** What a client that made one request understands of what comes back, the connection's end included. */
export async function clientTranscript(
  feed: Feed,
  method: string,
  upgrade: boolean,
  options: Partial<Http1ClientOptions> = {},
): Promise<SeenResponse> {
  const state = { paused: false, closed: false }
  const connection = new Http1ClientConnection(
    new MemorySink(),
    { ...defaultClientOptions, ...options },
    {
      reusable: () => {},
      close: () => {
        state.closed = true
      },
      withdraw: () => false,
      surplus: () => {},
      endWriting: () => {},
      pause: () => {
        state.paused = true
      },
      resume: () => {
        state.paused = false
      },
    },
  )
  const seen: SeenResponse = { interim: [], status: 0, version: 0, headers: [], body: '', trailers: [], end: 'open' }
  connection.begin(receiver(connection, seen, feed))
  const request = new RequestHead()
  Object.assign(request, { method, path: '/', authority: 'a.test:80' })
  if (upgrade) {
    request.upgrades = true
    request.headers.append(headerName('connection'), 'upgrade')
    request.headers.append(headerName('upgrade'), 'websocket')
  }
  connection.sendHead(request, !upgrade && method !== 'CONNECT')
  await feed.run({
    give: (bytes) => connection.receive(bytes, 0, bytes.length),
    isPaused: () => state.paused,
    isClosed: () => state.closed,
  })
  if (!state.closed) connection.receiveEnd()
  return seen
}

function receiver(connection: Http1ClientConnection, seen: SeenResponse, feed: Feed): IncomingResponse {
  const response = new ResponseHead()
  const once = (end: string): void => {
    if (seen.end !== 'open') throw new Error(`the response ends twice: ${seen.end}, then ${end}`)
    seen.end = end
  }
  return {
    response,
    onInterim: ({ status, headers }) => void seen.interim.push(`${status} ${JSON.stringify(entries(headers))}`),
    onResponseHead(last) {
      Object.assign(seen, { status: response.status, version: response.version, headers: entries(response.headers) })
      if (last) once('complete')
    },
    onResponseData(buffer, start, end, last) {
      seen.body += buffer.latin1Slice(start, end)
      if (last) return once('complete')
      feed.interrupt(
        () => connection.pauseResponse(),
        () => connection.resumeResponse(),
      )
    },
    onResponseTrailers(trailers) {
      seen.trailers = entries(trailers)
      once('complete')
    },
    onResponseReset: (reason, detail) => once(`reset ${reason} ${detail}`),
    onRequestWritable() {},
  }
}
