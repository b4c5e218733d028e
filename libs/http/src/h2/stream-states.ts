/**
 * States of a stream once it is open (RFC 9113 section 5.1). Idle streams are those behind the last identifier; of closed
 * ones the latest are remembered with how they ended, as that decides what a late frame is.
 */
export type StreamState = 'open' | 'half-closed-local' | 'half-closed-remote' | 'closed'

/** We have sent END_STREAM. */
export function afterLocalEnd(state: StreamState): StreamState {
  return state === 'open' ? 'half-closed-local' : 'closed'
}

/** The peer has sent END_STREAM. */
export function afterRemoteEnd(state: StreamState): StreamState {
  return state === 'open' ? 'half-closed-remote' : 'closed'
}

export function isRemoteOpen(state: StreamState): boolean {
  return state === 'open' || state === 'half-closed-local'
}

export function isLocalOpen(state: StreamState): boolean {
  return state === 'open' || state === 'half-closed-remote'
}

export type ClosedBy = 'end' | 'local-reset' | 'remote-reset'

const remembered = 512
const kinds: readonly ClosedBy[] = ['end', 'local-reset', 'remote-reset']

/** How the latest closed streams ended, in constant memory. */
export class ClosedStreams {
  private readonly ids = new Int32Array(remembered)
  private readonly ends = new Uint8Array(remembered)

  note(id: number, by: ClosedBy): void {
    const place = (id >>> 1) & (remembered - 1)
    this.ids[place] = id
    this.ends[place] = kinds.indexOf(by)
  }

  /** null: never opened, or forgotten. */
  endOf(id: number): ClosedBy | null {
    const place = (id >>> 1) & (remembered - 1)
    return this.ids[place] === id ? kinds[this.ends[place]!]! : null
  }
}
