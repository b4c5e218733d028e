import type { Socket } from 'node:net'
import type { ProcessState } from '../shared/process-state.ts'
import type { Destination } from './socket-calls.ts'

/** How often it is looked whether connections that wait may come in. */
const lookMs = 50

/** Connections that a listener does not take while the process is short of something; they wait here as they would in the kernel's queue. */
export class OverloadQueue {
  private readonly waiting = new Map<Socket, Destination | null>()
  private timer: NodeJS.Timeout | undefined
  private readonly again: (socket: Socket, caught: Destination | null) => void

  /** `again`: takes a connection that has waited, and may ask `admit` anew. */
  constructor(again: (socket: Socket, caught: Destination | null) => void) {
    this.again = again
  }

  /**
   * Whether a connection is taken now. One that has to wait is taken later, unless `most` do already; else it is closed. `caught`: where it
   * was going.
   */
  admit(
    socket: Socket,
    caught: Destination | null,
    most: number,
    state: Pick<ProcessState, 'overloaded' | 'saturated' | 'draws'>,
  ): 'now' | 'later' | 'never' {
    if (!state.overloaded) return 'now'
    if (!state.saturated('stop_accepting_connections')) {
      if (!state.draws('reject_incoming_connections') && !state.draws('tcp_listener_accept')) return 'now'
      socket.destroy()
      return 'never'
    }
    if (this.waiting.size >= most) {
      socket.destroy()
      return 'later'
    }
    this.waiting.set(socket, caught)
    socket.once('error', ignoreError)
    socket.once('close', () => this.waiting.delete(socket))
    this.timer ??= setInterval(() => {
      if (this.waiting.size === 0 || !state.saturated('stop_accepting_connections')) this.admitAll()
    }, lookMs)
    return 'later'
  }

  private admitAll(): void {
    clearInterval(this.timer)
    this.timer = undefined
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const [socket, caught] of waiting) if (!socket.destroyed) this.again(socket, caught)
  }

  /** Closes all that wait. */
  close(): void {
    clearInterval(this.timer)
    for (const socket of this.waiting.keys()) socket.destroy()
  }
}

function ignoreError(): void {}
