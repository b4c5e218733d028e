import type { ByteSink } from '@weft/http/stream'
import type { Connection } from './connection.ts'
import { fairTurns } from './fair-turns.ts'

/** Large enough for what one round of the event loop brings about, small enough to be kept for a few connections. */
const bufferSize = 64 * 1024
const maxSpare = 32

const spare: Buffer[] = []
/** Outputs with bytes, flushed together when this round of the event loop has read all it had to. */
let waiting: CoalescingOutput[] = []
let scheduled = false

function flushAll(): void {
  scheduled = false
  fairTurns.beginRound()
  const now = waiting
  waiting = []
  for (const output of now) output.flush()
}

/**
 * The output of a connection that carries many requests: what a round of the event loop writes to it, from however many
 * reads, leaves in one write. (Connections with one request at a time write sooner, by the thread's shared output.)
 */
export class CoalescingOutput implements ByteSink {
  position = 0
  private readonly connection: Connection
  private buffer: Buffer | null = null
  private isWaiting = false

  constructor(connection: Connection) {
    this.connection = connection
  }

  reserve(size: number): Buffer {
    if (this.buffer !== null && this.buffer.length - this.position < size) this.flush()
    if (this.buffer === null || this.buffer.length < size) {
      this.buffer = size > bufferSize ? Buffer.allocUnsafeSlow(size) : (spare.pop() ?? Buffer.allocUnsafeSlow(bufferSize))
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
    if (this.isWaiting) return
    this.isWaiting = true
    waiting.push(this)
    if (scheduled) return
    scheduled = true
    setImmediate(flushAll)
  }

  get congested(): boolean {
    return this.connection.congested
  }

  /** Writes now what there is. */
  flush(): void {
    this.isWaiting = false
    const { buffer, position } = this
    if (buffer === null) return
    this.buffer = null
    this.position = 0
    const taken = position === 0 || this.connection.writeOut(buffer, 0, position)
    // A buffer that the kernel did not take whole belongs to the socket.
    if (taken && buffer.length === bufferSize && spare.length < maxSpare) spare.push(buffer)
  }
}
