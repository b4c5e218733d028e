import { MemorySink } from '@weft/http/byte-sink'
import { defaultServerOptions, Http1ServerConnection, type Http1ServerOptions } from '@weft/http/h1/server-connection'
import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingRequest } from '@weft/http/stream'
import type { Feed } from './feed.ts'

/** A request as the server side understood it. */
export interface SeenRequest {
  method: string
  path: string
  authority: string
  version: number
  headers: [name: string, value: string][]
  body: string
  trailers: [name: string, value: string][]
  /** How it ended: `complete`, `tunnel`, or why not. */
  end: string
}

export interface ServerTranscript {
  requests: SeenRequest[]
  /** Everything the server wrote. */
  written: string
  closed: boolean
}

export interface ServerBehaviour {
  options?: Partial<Http1ServerOptions>
  /** Whether an upgrade is taken; otherwise the request is treated as an ordinary one. */
  takeUpgrades?: boolean
}

const contentLength = headerName('content-length')

/** What a server that answers every request understands of a stream, fed in some way. */
export async function serverTranscript(feed: Feed, behaviour: ServerBehaviour = {}): Promise<ServerTranscript> {
  const sink = new MemorySink()
  const transcript: ServerTranscript = { requests: [], written: '', closed: false }
  const state = { paused: false }
  const connection: Http1ServerConnection = new Http1ServerConnection(
    sink,
    { ...defaultServerOptions, ...behaviour.options },
    {
      begin: () => receive(connection, transcript, behaviour, feed),
      closeAfterWrite: () => {
        transcript.closed = true
      },
      pause: () => {
        state.paused = true
      },
      resume: () => {
        state.paused = false
      },
      idle: () => {},
    },
  )
  await feed.run({
    give: (bytes) => connection.receive(bytes, 0, bytes.length),
    isPaused: () => state.paused,
    isClosed: () => transcript.closed,
  })
  if (!transcript.closed) connection.receiveEnd()
  transcript.written = sink.take()
  return transcript
}

function receive(
  connection: Http1ServerConnection,
  transcript: ServerTranscript,
  behaviour: ServerBehaviour,
  feed: Feed,
): IncomingRequest {
  const request = new RequestHead()
  const seen: SeenRequest = { method: '', path: '', authority: '', version: 0, headers: [], body: '', trailers: [], end: 'open' }
  const note = (): void => {
    const { method, path, authority, version } = request
    Object.assign(seen, { method, path, authority, version, headers: entries(request.headers) })
    transcript.requests.push(seen)
  }
  const finish = (): void => {
    seen.end = 'complete'
    answer(connection, 200)
  }
  return {
    request,
    onRequestHead(last) {
      note()
      if (last) return finish()
      if (request.method !== 'CONNECT' && !request.headers.has(headerName('upgrade'))) return
      if (behaviour.takeUpgrades === true) {
        seen.end = 'tunnel'
        const head = new ResponseHead()
        head.status = request.method === 'CONNECT' ? 200 : 101
        connection.sendHead(head, false)
      } else {
        seen.end = 'declined'
        connection.declineUpgrade()
        // A request with a body goes on with it; one without is over.
        if (!request.headers.has(contentLength) && !request.headers.has(headerName('transfer-encoding'))) finish()
      }
    },
    onRequestData(buffer, start, end, last) {
      seen.body += buffer.latin1Slice(start, end)
      if (last && seen.end !== 'tunnel') return finish()
      if (seen.end !== 'tunnel')
        feed.interrupt(
          () => connection.pauseRequest(),
          () => connection.resumeRequest(),
        )
    },
    onRequestTrailers(trailers) {
      seen.trailers = entries(trailers)
      finish()
    },
    onRequestReset: (reason, detail) => {
      if (transcript.requests.at(-1) === seen) seen.end = `reset ${reason} ${detail}`
    },
    onRequestError({ status, details }) {
      if (transcript.requests.at(-1) !== seen) transcript.requests.push(seen)
      seen.end = `refused ${status} ${details}`
      // What comes in one read with a mistake in the body is not passed on: how much of it was, says nothing of the verdict.
      seen.body = ''
      answer(connection, status)
    },
    onResponseWritable() {},
  }
}

function answer(connection: Http1ServerConnection, status: number): void {
  const head = new ResponseHead()
  head.status = status
  head.headers.append(contentLength, '2')
  connection.sendHead(head, false)
  connection.sendData(Buffer.from('ok'), 0, 2, true)
}

export function entries(table: HeaderTable): [string, string][] {
  const list: [string, string][] = []
  table.forEach((name, value) => {
    list.push([name, value])
  })
  return list
}
