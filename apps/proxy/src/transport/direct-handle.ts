import type net from 'node:net'

/**
 * Reads and writes past the stream machinery of a socket, straight on its handle: for a write that the kernel takes whole, which
 * is nearly every one, a stream's queue, callbacks and ticks are half of its cost. Node has no public way to it; without
 * `process.binding` (it is deprecated), sockets read and write as ever.
 */

/** Who writes. */
export interface DirectWriter {
  /** Its write through TLS of whose end it is not told. */
  quiet: WriteRequest | null
  /** A write that waited has ended; negative: by an error of this number. */
  onWriteEnd(status: number): void
}

export interface WriteRequest {
  /** -1 once the write has ended. */
  getAsyncId(): number
  oncomplete?: (this: WriteRequest, status: number) => void
  buffer: Buffer | null
  writer: DirectWriter | null
}

interface StreamWrap {
  WriteWrap: new () => WriteRequest
  streamBaseState: Int32Array
  kLastWriteWasAsync: number
  kReadBytesOrError: number
}

interface StreamHandle {
  reading: boolean
  readStart(): number
  readStop(): number
  useUserBuffer(buffer: Buffer): void
  /** Called for each read; the number of bytes, or a negative error number, stands in `streamBaseState`. */
  onread: (this: StreamHandle, bytes?: ArrayBuffer) => unknown
  writeBuffer(request: WriteRequest, bytes: Buffer): number
}

interface WithHandle {
  readonly _handle: Partial<StreamHandle> | null
}

function streamWrap(): StreamWrap | null {
  const { binding } = process as unknown as { binding?: (name: string) => Partial<StreamWrap> }
  try {
    const { WriteWrap, streamBaseState, kLastWriteWasAsync, kReadBytesOrError } = binding?.call(process, 'stream_wrap') ?? {}
    return WriteWrap !== undefined &&
      streamBaseState !== undefined &&
      kLastWriteWasAsync !== undefined &&
      kReadBytesOrError !== undefined
      ? { WriteWrap, streamBaseState, kLastWriteWasAsync, kReadBytesOrError }
      : null
  } catch {
    return null
  }
}

const wrap = streamWrap()
/** Requests to be used again: every write through TLS takes one for a while, and one is dear to make. */
const free: WriteRequest[] = []
const freeQuiet: WriteRequest[] = []
const maxFree = 256
/** The one that ended last: Node lets go of it only behind its callback. */
let ended: WriteRequest | null = null

function newRequest(WriteWrap: StreamWrap['WriteWrap']): WriteRequest {
  const request = new WriteWrap()
  request.oncomplete = onComplete
  request.buffer = null
  request.writer = null
  return request
}

function onComplete(this: WriteRequest, status: number): void {
  const { writer } = this
  this.buffer = null
  this.writer = null
  if (ended !== null && free.length < maxFree) free.push(ended)
  ended = this
  writer?.onWriteEnd(status)
}

/** All is with the kernel. */
export const written = 0
/** The rest waits, with its bytes; `onComplete` will be called. */
export const waiting = 1
/** Not written: write by the socket. */
export const notDirect = 2

/**
 * Writes bytes of a connected socket that has none waiting. `writer` hears of the end of a write that waits (within this call,
 * where one through TLS fails at once); a negative result is the error of this write. A write through TLS always waits, though
 * its bytes are encrypted or copied when this returns, and there may be no other meanwhile.
 */
export function writeDirect(socket: net.Socket, bytes: Buffer, writer: DirectWriter): number {
  if (wrap === null) return notDirect
  const handle = (socket as unknown as WithHandle)._handle
  if (handle === null || handle.writeBuffer === undefined) return notDirect
  const request = free.pop() ?? newRequest(wrap.WriteWrap)
  request.writer = writer
  const error = handle.writeBuffer(request, bytes)
  if (error === 0 && wrap.streamBaseState[wrap.kLastWriteWasAsync] !== 0) {
    // It has ended within the call, and its writer has heard why.
    if (request.writer === null) return written
    request.buffer = bytes
    return waiting
  }
  request.writer = null
  free.push(request)
  return error === 0 ? written : error
}

/**
 * Writes bytes of a TLS socket whose `quiet` write has ended. When this returns they are encrypted or copied, but the write goes on; nobody
 * is told of its end, for a call from Node costs more than to ask when there is more to write: see `hasEnded` and `tellEnd`.
 */
export function writeQuietly(socket: net.Socket, bytes: Buffer, writer: DirectWriter): number {
  if (wrap === null) return notDirect
  const handle = (socket as unknown as WithHandle)._handle
  if (handle === null || handle.writeBuffer === undefined) return notDirect
  // Without `oncomplete`, or Node would call it.
  const request = freeQuiet.pop() ?? new wrap.WriteWrap()
  const error = handle.writeBuffer(request, bytes)
  if (error === 0 && wrap.streamBaseState[wrap.kLastWriteWasAsync] !== 0) {
    writer.quiet = request
    return waiting
  }
  freeQuiet.push(request)
  return error === 0 ? written : error
}

/** Whether the quiet write has ended. */
export function hasEnded(writer: DirectWriter): boolean {
  const request = writer.quiet
  if (request === null) return true
  if (request.getAsyncId() !== -1) return false
  writer.quiet = null
  if (freeQuiet.length < maxFree) freeQuiet.push(request)
  return true
}

/** Has `onWriteEnd` called at the end of the quiet write, which is under way. */
export function tellEnd(writer: DirectWriter): void {
  const request = writer.quiet
  if (request === null) return
  writer.quiet = null
  request.writer = writer
  request.oncomplete = onComplete
}

/**
 * Has the handle of a socket that reads into a buffer of ours (`onread`) call `onBytes` itself with the number of bytes
 * read; ends and errors go the socket's way. `onBytes` gives whether to go on reading.
 */
export function readDirect(socket: net.Socket, onBytes: (length: number) => boolean): void {
  const handle = (socket as unknown as WithHandle)._handle
  if (wrap === null || handle?.onread === undefined) return
  const { streamBaseState, kReadBytesOrError } = wrap
  const ofSocket = handle.onread
  handle.onread = function read(bytes) {
    const length = streamBaseState[kReadBytesOrError]!
    // A socket that is destroyed takes this callback away at once, and needs no asking.
    if (length <= 0) return ofSocket.call(this, bytes)
    if (onBytes(length)) return
    this.reading = false
    this.readStop()
  }
}

/**
 * The same for a socket that a server accepted and that reads as a stream until now: `buffer` is what it reads into from now on.
 * False: it goes on as a stream. What the stream has read before is its caller's to take.
 */
export function takeReads(socket: net.Socket, buffer: Buffer, onBytes: (length: number) => boolean): boolean {
  const handle = (socket as unknown as WithHandle)._handle
  if (wrap === null || handle?.useUserBuffer === undefined || handle.onread === undefined) return false
  handle.useUserBuffer(buffer)
  readDirect(socket, onBytes)
  return true
}

/** Stops or goes on with the reads of a socket whose reads were taken. */
export function setReading(socket: net.Socket, on: boolean): void {
  const handle = (socket as unknown as WithHandle)._handle
  if (handle === null || handle.reading === on) return
  handle.reading = on
  if (on) handle.readStart?.()
  else handle.readStop?.()
}
