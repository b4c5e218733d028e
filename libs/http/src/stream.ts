import type { Refusal } from './h1/refusal.ts'
import type { HeaderTable } from './header-table.ts'
import type { RequestHead, ResponseHead } from './message.ts'

/**
 * The interface between a codec and those who use it, the same for HTTP/1.1 (one stream at a time on a connection) and
 * HTTP/2 (many). Codecs hold no sockets: bytes go in by `receive`, and out by a `ByteSink`.
 * Body bytes are given as ranges of a buffer that is valid only during the call: copy what has to be kept.
 */

/** Where a codec writes: a buffer shared by all connections of a thread, so that one turn's bytes leave in one write. */
export interface ByteSink {
  /** A buffer with room for `size` bytes at `position`. Call again before each piece: the buffer may change. */
  reserve(size: number): Buffer
  readonly position: number
  /** Says that bytes up to `end` of the reserved buffer are written; they leave at the end of the turn. */
  commit(end: number): void
  /** Bytes handed over and not yet taken by the peer: above the high-water mark a sender has to stop. */
  readonly congested: boolean
}

/** Why a stream ended early. */
export type ResetReason =
  | 'remote-reset'
  | 'connection-closed'
  | 'protocol-error'
  | 'local-reset'
  | 'refused-stream'
  | 'connect-failure'
  | 'overflow'

/** Server side: what the codec tells of one request. */
export interface RequestReceiver {
  onRequestHead(endStream: boolean): void
  onRequestData(buffer: Buffer, start: number, end: number, endStream: boolean): void
  /** Ends the request. */
  onRequestTrailers(trailers: HeaderTable): void
  /** The request can't go on (peer gone, protocol error). Nothing follows. */
  onRequestReset(reason: ResetReason, detail: string): void
  /** What was sent has left; more may be sent. */
  onResponseWritable(): void
}

/** Server side: how a response is sent. */
export interface ResponseSender {
  /** 1xx answers before the final one. */
  sendInterim(head: ResponseHead): void
  sendHead(head: ResponseHead, endStream: boolean): void
  /** False: stop until `onResponseWritable`. */
  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean
  /** Ends the response. */
  sendTrailers(trailers: HeaderTable): void
  /** Ends the stream without a proper end: HTTP/1.1 closes the connection. */
  reset(): void
  /** Stops and goes on reading the request's body. */
  pauseRequest(): void
  resumeRequest(): void
}

/** A request as the connection's owner makes it: where the codec puts the head, and whom it tells. */
export interface IncomingRequest extends RequestReceiver {
  readonly request: RequestHead
  /** Where trailers are put; a codec makes a table of its own when there is none. */
  readonly requestTrailers?: HeaderTable
  /** The bytes are no acceptable request: answer so. */
  onRequestError(refusal: Refusal): void
}

/** What a server's codec gives for each request: the way to answer, and what is the same question for every codec. */
export interface ServerStream extends ResponseSender {
  /** 100 Continue, which an Expect header asked for. */
  sendContinue(): void
  /**
   * HTTP/1.1: the connection ends with this response; `atOnce`: behind a request that is complete, without time for the peer to see it announced.
   * HTTP/2: nothing, the connection is drained by itself.
   */
  closeAfterResponse(atOnce?: boolean): void
  /** HTTP/1.1: responses say that the connection is about to end. HTTP/2: nothing, as before. */
  announceClose(): void
  /** HTTP/2: the peer takes no bytes of a body now. */
  readonly takesNothing?: boolean
  /** HTTP/2: how long what waits to be sent may stay when the response is whole (ms; 0: any time). */
  limitFlush?(ms: number): void
  /** The upgrade is not taken: the request is an ordinary one. */
  declineUpgrade(): void
}

/** Client side: what the codec tells of one response. */
export interface ResponseReceiver {
  onInterim(head: ResponseHead): void
  onResponseHead(endStream: boolean): void
  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void
  /** Ends the response. */
  onResponseTrailers(trailers: HeaderTable): void
  onResponseReset(reason: ResetReason, detail: string): void
  onRequestWritable(): void
}

/** A response as the request's owner makes it: where the codec puts the head, and whom it tells. */
export interface IncomingResponse extends ResponseReceiver {
  readonly response: ResponseHead
  /** Where trailers are put; a codec makes a table of its own when there is none. */
  readonly responseTrailers?: HeaderTable
}

/** Client side: how a request is sent. */
export interface RequestSender {
  sendHead(head: RequestHead, endStream: boolean): void
  /** False: stop until `onRequestWritable`. */
  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean
  sendTrailers(trailers: HeaderTable): void
  /** Gives the stream up; HTTP/1.1 closes the connection. */
  reset(): void
  pauseResponse(): void
  resumeResponse(): void
}

/** What a client's codec gives for each request. */
export interface ClientStream extends RequestSender {
  /** Nothing of an answer has come: another connection may be tried. */
  readonly unanswered: boolean
}
