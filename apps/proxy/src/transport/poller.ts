import { createRequire } from 'node:module'
import { constants } from 'node:os'
import type * as Koffi from 'koffi'

/**
 * Reads and writes of plain sockets by system calls of our own (recv(2), send(2), through koffi), where an epoll(7) of this thread tells
 * which of them have something: Node's event loop wakes for the epoll alone, and its own code around each read and each write, a seventh
 * of a request's CPU, is spent once a round. What ends a connection is left to Node. Linux only; elsewhere, and without koffi, sockets
 * read and write as ever.
 */

// Once: the table is a dictionary, and is asked for each read.
const { EAGAIN, EINTR } = constants.errno

/** Who is told of a socket. */
export interface ReadyListener {
  /** The socket's descriptor. */
  readonly fd: number
  /** Whether the socket still has it: a closed one's may be another's by now. */
  readonly isOpen: boolean
  /** Whether what comes there answers what went out: it goes before the others, which begin more. */
  readonly isAnswer: boolean
  /** What comes has to wait with us: a round reads the least. */
  readonly readsLittle: boolean
  /**
   * Bytes have come, to be used up within the call. `more`: there may be more, or an end, of which nobody tells as long as it is not read,
   * or added anew.
   */
  onRead(bytes: Buffer, start: number, end: number, more: boolean): void
  /** There was nothing to read but an end (0) or an error (a negative number); `endedBadly`: it is for Node to find out. */
  onReadEnd(result: number): void
}

/** The most that is read at once of one socket. */
export const readSize = 64 * 1024
/**
 * What a round reads of one that answers; a longer answer is read on at once by those who can take more. The smaller one is what waits in
 * memory for each stream of a client that takes nothing.
 */
const answerReadSize = 16 * 1024
const littleReadSize = 2 * 1024
/** All plain sockets of this thread read into this one buffer: its bytes are used up within the callback. */
export const readBuffer = Buffer.allocUnsafeSlow(readSize)
/** What a round reads before it gives out what it has read. */
const roundSize = 256 * 1024
/** No error number. */
export const endedBadly = -0x1_0000
/**
 * Bits of `events` in `epoll_event` (epoll_ctl(2)): bytes or an end; the peer's end; only what is new (what was told before is not looked at
 * again each round); an error, or both directions have ended.
 */
const readable = 0x1
const ended = 0x2000
const onlyNew = 0x8000_0000 | 0
const errorOrHangUp = 0x8 | 0x10
const endedOrFailed = ended | errorOrHangUp
const add = 1
const remove = 2
const closeOnExec = 0x80000
const noSignal = 0x4000
/** Of one round; what is left over comes in the next. */
const maxAnswers = 512
/**
 * The same of those that begin requests: few, and behind all answers, so that few requests are under way and what belongs to them is still
 * in the caches when they end.
 */
const maxRequests = 32
/** So many events in a round mean that the thread is busy. */
const busyFrom = 4
/** In 32-bit words: x86-64 alone packs `struct epoll_event`, elsewhere `data` stands on a multiple of 8. */
const layout = process.arch === 'x64' ? { size: 3, data: 1 } : { size: 4, data: 2 }

/** A pipe as Node wraps it, which reads into the buffer it is given. */
interface PipeHandle {
  open(fd: number): number
  useUserBuffer(buffer: Buffer): void
  onread: () => void
  readStart(): number
  readStop(): number
  ref(): void
  unref(): void
  close(): void
}

interface Calls {
  epollWait(epoll: number, events: number, maxEvents: number, timeoutMs: number): number
  epollControl(epoll: number, operation: number, fd: number, event: Int32Array): number
  recv(fd: number, buffer: number, length: number, flags: number): number
  send(fd: number, bytes: number, length: number, flags: number): number
  address(buffer: Buffer): number
  errno(): number
}

/** Sockets that are waited for together. */
interface Watch {
  readonly epoll: number
  readonly handle: PipeHandle
  readonly maxEvents: number
  /** What a round reads of each. */
  readonly readSize: number
  sockets: number
}

export class Poller {
  private readonly calls: Calls
  private readonly answers: Watch
  private readonly requests: Watch
  private readonly events = new Int32Array(maxAnswers * layout.size)
  private readonly eventsAt: number
  private readonly buffer = Buffer.allocUnsafeSlow(roundSize)
  private readonly bufferAt: number
  /** Of the round: who was told of, and what reading there gave. */
  private readonly readers: (ReadyListener | null)[] = []
  private readonly results = new Int32Array(maxAnswers)
  /** Whether that filled the room it had. */
  private readonly filled = new Uint8Array(maxAnswers)
  private readonly event = new Int32Array(layout.size)
  /** By slot, which an event names; a slot's generation tells events of who had it before. */
  private readonly listeners: (ReadyListener | null)[] = []
  private readonly generations: number[] = []
  private readonly freeSlots: number[] = []
  private lastAsked: Buffer | null = null
  private lastAddress = 0
  /** The event loop asks for a place to read to, gets none, and so does not read what can't be read. */
  private readonly nowhere = Buffer.allocUnsafeSlow(1).subarray(0, 0)

  private constructor(calls: Calls, open: (maxEvents: number, readSize: number) => Watch) {
    this.calls = calls
    this.eventsAt = calls.address(Buffer.from(this.events.buffer))
    this.bufferAt = calls.address(this.buffer)
    this.answers = open(maxAnswers, answerReadSize)
    this.requests = open(maxRequests, readSize)
    for (const watch of [this.answers, this.requests]) {
      watch.handle.useUserBuffer(this.nowhere)
      watch.handle.onread = () => this.onWake(watch)
    }
  }

  /** Null where it can't be had. */
  static create(): Poller | null {
    if (process.platform !== 'linux') return null
    try {
      const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
      const library = koffi.load(null)
      const calls: Calls = {
        epollWait: library.func('int epoll_wait(int, uintptr_t, int, int)'),
        epollControl: library.func('int epoll_ctl(int, int, int, void *)'),
        recv: library.func('long recv(int, uintptr_t, size_t, int)'),
        send: library.func('long send(int, uintptr_t, size_t, int)'),
        address: (buffer) => Number(koffi.address(buffer)),
        errno: koffi.errno,
      }
      const { binding } = process as unknown as { binding(name: string): { Pipe: new (type: number) => PipeHandle } }
      const { Pipe } = binding.call(process, 'pipe_wrap')
      const createEpoll = library.func('int epoll_create1(int)') as (flags: number) => number
      return new Poller(calls, (maxEvents, readSize) => {
        const handle = new Pipe(0)
        const epoll = createEpoll(closeOnExec)
        if (epoll < 0 || handle.open(epoll) !== 0 || handle.readStart() !== 0) throw new Error('no epoll')
        handle.unref()
        return { epoll, handle, maxEvents, readSize, sockets: 0 }
      })
    } catch {
      return null
    }
  }

  /** From now on `listener` hears when there is something to read at `fd`, at first if there is already. Gives its slot; -1: the system refuses. */
  add(fd: number, listener: ReadyListener): number {
    const slot = this.freeSlots.pop() ?? this.listeners.length
    const generation = this.generations[slot] ?? 0
    const { event } = this
    event[0] = readable | ended | onlyNew
    event[layout.data] = slot
    event[layout.data + 1] = generation
    const watch = this.watchOf(listener)
    if (this.calls.epollControl(watch.epoll, add, fd, event) !== 0) {
      this.freeSlots.push(slot)
      this.listeners[slot] ??= null
      this.generations[slot] ??= generation
      return -1
    }
    this.listeners[slot] = listener
    this.generations[slot] = generation
    if (watch.sockets++ === 0) watch.handle.ref()
    return slot
  }

  /** Ends it for a socket that is open. */
  remove(slot: number, fd: number): void {
    this.calls.epollControl(this.watchOf(this.listeners[slot]!).epoll, remove, fd, this.event)
    this.forget(slot)
  }

  /** Ends it for a socket that is closed: the kernel has forgotten it already. */
  forget(slot: number): void {
    const watch = this.watchOf(this.listeners[slot]!)
    this.listeners[slot] = null
    this.generations[slot] = (this.generations[slot]! + 1) | 0
    this.freeSlots.push(slot)
    if (--watch.sockets === 0) watch.handle.unref()
  }

  private watchOf(listener: ReadyListener): Watch {
    return listener.isAnswer ? this.answers : this.requests
  }

  /** Reads to the start of `buffer`, which is to be `readSize` long: the number of bytes, 0 at the end, or a negative error number. */
  receive(fd: number, buffer: Buffer): number {
    return this.receiveAt(fd, this.addressOf(buffer), readSize)
  }

  private receiveAt(fd: number, address: number, size: number): number {
    const length = this.calls.recv(fd, address, size, 0)
    return length < 0 ? -this.calls.errno() : length
  }

  /** Writes bytes from `start` to `end`: the number of those the kernel took, or a negative error number. */
  send(fd: number, bytes: Buffer, start: number, end: number): number {
    const length = this.calls.send(fd, this.addressOf(bytes) + start, end - start, noSignal)
    return length < 0 ? -this.calls.errno() : length
  }

  private addressOf(bytes: Buffer): number {
    // Nearly always it is the buffer that all connections write to.
    if (bytes !== this.lastAsked) {
      this.lastAsked = bytes
      this.lastAddress = this.calls.address(bytes)
    }
    return this.lastAddress
  }

  /** The event loop says that there is something. */
  private onWake(watch: Watch): void {
    if (this.round(watch) < busyFrom) return
    // An epoll that another waits for costs the kernel a second wake for each event: while there is much, look without being told.
    this.answers.handle.readStop()
    this.requests.handle.readStop()
    setImmediate(this.onBusyRound)
  }

  private readonly onBusyRound = (): void => {
    if (this.round(this.answers) + this.round(this.requests) > 0) {
      setImmediate(this.onBusyRound)
      return
    }
    this.answers.handle.readStart()
    this.requests.handle.readStart()
  }

  /**
   * First reads what there is, then gives it out: so the kernel's code stays in the caches while it reads, and the proxy's while requests go
   * through it.
   */
  private round(watch: Watch): number {
    const { events, readers, results, filled } = this
    const { readSize } = watch
    const count = this.calls.epollWait(watch.epoll, this.eventsAt, watch.maxEvents, 0)
    for (let next = 0; next < count; ) {
      const first = next
      let position = 0
      for (; next < count && position <= roundSize - readSize; next++) {
        const at = next * layout.size
        const slot = events[at + layout.data]!
        // Whom an event of this round was for may be gone by now, and another in its place.
        const reader = this.generations[slot] === events[at + layout.data + 1] ? this.listeners[slot]! : null
        readers[next] = reader
        results[next] = 0
        if (reader === null) continue
        // What was given out before in this round may have closed it.
        if (!reader.isOpen) {
          results[next] = endedBadly
          continue
        }
        // What came before an error, or the end of both directions, is still there.
        const room = reader.readsLittle ? littleReadSize : readSize
        const result = this.receiveAt(reader.fd, this.bufferAt + position, room)
        filled[next] = result === room ? 1 : 0
        results[next] = isNotNow(result) && (events[at]! & errorOrHangUp) !== 0 ? endedBadly : result
        if (result > 0) position += result
      }
      this.giveOut(first, next)
    }
    return count
  }

  private giveOut(first: number, behind: number): void {
    const { events, buffer, readers, results, filled } = this
    let start = 0
    for (let i = first; i < behind; i++) {
      const result = results[i]!
      const from = start
      if (result > 0) start += result
      const reader = readers[i]
      if (reader === null || reader === undefined) continue
      readers[i] = null
      try {
        if (result > 0) reader.onRead(buffer, from, start, filled[i] === 1 || (events[i * layout.size]! & endedOrFailed) !== 0)
        else if (!isNotNow(result)) reader.onReadEnd(result)
      } catch (error) {
        // The others' bytes have been read: they are not to be lost with it.
        setImmediate(() => {
          throw error
        })
      }
    }
  }
}

let ofThread: Poller | null | undefined

/** The one of this thread; null where it can't be had. */
export function threadPoller(): Poller | null {
  if (ofThread === undefined) ofThread = Poller.create()
  return ofThread
}

/** Whether a negative result says no more than: not now. */
export function isNotNow(result: number): boolean {
  return result === -EAGAIN || result === -EINTR
}
