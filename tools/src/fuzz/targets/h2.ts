import { MemorySink } from '@weft/http/byte-sink'
import { Http2ClientConnection } from '@weft/http/h2/client-connection'
import { clientPreface, flag, frameType, writeFrameHeader } from '@weft/http/h2/frame'
import { defaultHttp2Options } from '@weft/http/h2/options'
import { Http2ServerConnection, type Http2ServerStream } from '@weft/http/h2/server-connection'
import { headerName } from '@weft/http/header-name'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingRequest, IncomingResponse } from '@weft/http/stream'
import { framesOf } from '../h2/script.ts'
import type { FuzzTarget } from '../target.ts'

function frame(type: number, flags: number, id: number, payload = ''): Uint8Array {
  const body = Buffer.from(payload, 'hex')
  const bytes = Buffer.alloc(9 + body.length)
  bytes.set(body, writeFrameHeader(bytes, 0, body.length, type, flags, id))
  return bytes
}

const get = '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'.replaceAll(' ', '')
const greeting = frame(frameType.settings, 0, 0, '000400000064')
const options = {
  ...defaultHttp2Options,
  allowConnect: true,
  maxConcurrentStreams: 20,
  maxHeadBytes: 8192,
  initialStreamWindow: 65535,
}
const body = Buffer.alloc(200, 'x')

/**
 * Bytes cut as the first ones say, into a server and a client that answer and pause in many ways: as they are, and as a script of
 * frames.
 */
export const h2: FuzzTarget = {
  seeds: [
    Buffer.concat([greeting, frame(frameType.headers, flag.endHeaders | flag.endStream, 1, get)]),
    Buffer.concat([
      greeting,
      frame(frameType.headers, flag.endHeaders, 1, get),
      frame(frameType.data, flag.padded, 1, '0268656c6c6f0000'),
      frame(frameType.data, flag.endStream, 1, '00'),
      frame(frameType.windowUpdate, 0, 1, '00000064'),
    ]),
    Buffer.concat([greeting, frame(frameType.headers, 0, 1, get.slice(0, 8)), frame(frameType.continuation, 4, 1, get.slice(8))]),
    Buffer.concat([greeting, frame(frameType.headers, 4, 1, '88'), frame(frameType.data, 1, 1, '616263')]),
    Buffer.concat([greeting, frame(frameType.headers, 4, 1, '88'), frame(frameType.headers, 5, 1, '0001610162')]),
    Buffer.concat([greeting, frame(frameType.headers, 5, 3, get), frame(frameType.rstStream, 0, 3, '00000008')]),
    Buffer.concat([greeting, frame(frameType.ping, 0, 0, '0102030405060708'), frame(frameType.goaway, 0, 0, '0000000100000000')]),
  ],
  words: [
    frame(frameType.headers, 5, 5, get),
    frame(frameType.headers, 4, 7, get),
    frame(frameType.data, 1, 1, '61'),
    frame(frameType.rstStream, 0, 1, '00000008'),
    frame(frameType.settings, 0, 0, '000400000000'),
    frame(frameType.settings, 0, 0, '000100000000'),
    frame(frameType.settings, 1, 0),
    frame(frameType.windowUpdate, 0, 0, '00010000'),
    frame(frameType.priority, 0, 1, '0000000010'),
    frame(frameType.continuation, 4, 1, '82'),
  ],
  run(input) {
    for (const bytes of [Buffer.from(input), Buffer.concat([greeting, framesOf(input)])]) {
      runServer(bytes)
      runClient(bytes)
    }
  },
}

/** Gives the bytes in pieces whose sizes the bytes themselves choose. */
function feed(bytes: Buffer, receive: (piece: Buffer) => void): void {
  const unit = bytes.length > 2000 ? 16 : 1
  let at = 0
  while (at < bytes.length) {
    const to = Math.min(bytes.length, at + 1 + unit * ((bytes[at]! * 37 + at) % 97))
    receive(Buffer.from(bytes.subarray(at, to)))
    at = to
  }
}

/** How often a stream's end was told: once is all there may be. */
class Ends {
  private told = 0

  tell(what: string): void {
    if (++this.told > 1) throw new Error(`an end was told twice: ${what}`)
  }
}

function runServer(bytes: Buffer): void {
  const sink = new MemorySink()
  let closed = 0
  let nowMs = 0
  const paused: Http2ServerStream[] = []
  const server: Http2ServerConnection = new Http2ServerConnection(
    sink,
    options,
    {
      begin: (stream) => receiver(stream),
      ...(bytes.length % 2 === 0 ? { waiting: () => {} } : {}),
      closeAfterWrite: () => {
        if (++closed > 1) throw new Error('closed twice')
      },
      idle: () => {
        if (!server.isIdle) throw new Error('idle with open streams')
      },
      failed: () => {},
      noted: () => {},
    },
    () => nowMs,
  )
  const receiver = (stream: Http2ServerStream): IncomingRequest => {
    const request = new RequestHead()
    const ends = new Ends()
    const response = new ResponseHead()
    response.status = 200
    response.headers.append(headerName('x-a'), 'b')
    const kind = stream.id % 8
    const answer = (): void => {
      stream.sendHead(response, kind === 1)
      if (kind === 1) return
      stream.sendData(body, 0, body.length, kind !== 3)
      if (kind === 3) stream.sendTrailers(response.headers)
    }
    return {
      request,
      onRequestHead: (end) => {
        if (/[\r\n\0 ]/.test(request.method + request.path + request.authority)) throw new Error('a line end came through')
        if (kind === 5) {
          stream.pauseRequest()
          paused.push(stream)
        }
        if (kind === 7) answer()
        if (end) {
          ends.tell('head')
          answer()
        }
      },
      onRequestData: (_buffer, _start, _end, end) => {
        if (!end) return
        ends.tell('data')
        answer()
      },
      onRequestTrailers: () => {
        ends.tell('trailers')
        answer()
      },
      onRequestReset: () => {},
      onRequestError: ({ status }) => {
        ends.tell('error')
        response.status = status
        stream.sendHead(response, true)
      },
      onResponseWritable: () => {
        if (stream.id % 3 === 0) stream.reset()
      },
    }
  }
  server.receive(clientPreface, 0, clientPreface.length)
  // Its turns end in the middle of what came.
  let frames = 0
  const deadline = { isOver: () => ++frames % 3 === 0 }
  feed(bytes, (piece) => {
    sink.congested = piece[0] === 3
    for (let at = 0; at < piece.length; ) at = server.receive(piece, at, piece.length, deadline)
    if (!sink.congested) server.writable()
    nowMs += piece[0]!
    if (nowMs % 5 === 0) server.goOn(deadline)
    if (nowMs % 7 === 0) for (const stream of paused.splice(0)) stream.resumeRequest()
    if (nowMs % 11 === 0) server.tick()
  })
  if (server.openStreams > options.maxConcurrentStreams) throw new Error('more streams than allowed')
  if (bytes.length % 2 === 0) server.drain()
  server.tick()
  server.connectionLost('end')
  while (!server.goOn(deadline));
  if (!server.isIdle) throw new Error('streams outlive their connection')
  sink.take()
}

function runClient(bytes: Buffer): void {
  const sink = new MemorySink()
  const client = new Http2ClientConnection(
    sink,
    options,
    { room: () => {}, goaway: () => {}, closeAfterWrite: () => {}, failed: () => {}, noted: () => {} },
    () => 0,
  )
  client.start()
  let under = 0
  for (let i = 0; i < 4; i++) {
    const response = new ResponseHead()
    const ends = new Ends()
    under++
    const over = (what: string): void => {
      ends.tell(what)
      under--
    }
    const receiver: IncomingResponse = {
      response,
      onInterim: () => {},
      onResponseHead: (end) => {
        if (i === 2) stream.pauseResponse()
        if (end) over('head')
      },
      onResponseData: (_buffer, _start, _end, end) => {
        if (end) over('data')
      },
      onResponseTrailers: () => over('trailers'),
      onResponseReset: () => over('reset'),
      onRequestWritable: () => {},
    }
    const request = new RequestHead()
    request.method = i === 1 ? 'HEAD' : 'POST'
    request.path = '/'
    request.authority = 'a'
    const stream = client.begin(receiver)
    stream.sendHead(request, i < 2)
    if (i >= 2) stream.sendData(body, 0, body.length, i === 2)
  }
  feed(bytes, (piece) => client.receive(piece, 0, piece.length))
  client.connectionLost('connection-closed', 'end')
  if (under !== 0) throw new Error(`${under} requests never heard of their end`)
  sink.take()
}
