import type net from 'node:net'
import type { ByteSink } from '../../stream.ts'

/** A sink over a socket of its own: what a turn of the event loop writes leaves in one write. */
export class SocketSink implements ByteSink {
  private readonly socket: net.Socket
  private buffer: Buffer = Buffer.allocUnsafeSlow(65536)
  private scheduled = false
  position = 0
  writes = 0

  constructor(socket: net.Socket) {
    this.socket = socket
  }

  reserve(size: number): Buffer {
    if (this.position + size > this.buffer.length) {
      this.flush()
      if (size > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(size * 2)
    }
    return this.buffer
  }

  commit(end: number): void {
    this.position = end
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      this.flush()
    })
  }

  get congested(): boolean {
    return this.socket.writableNeedDrain
  }

  flush(): void {
    if (this.position === 0) return
    const bytes = this.buffer.subarray(0, this.position)
    this.position = 0
    if (this.socket.destroyed) return
    this.writes++
    this.socket.write(bytes)
    if (this.socket.writableLength > 0) this.buffer = Buffer.allocUnsafeSlow(65536)
  }
}
