import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import type { ConnectionInfo } from '../transport/connection-info.ts'

/** A request that a pool finds a connection for: at once, or later by `onPoolReady`. */
export interface PoolWaiter extends IncomingResponse {
  onPoolReady(connection: PooledConnection): void
}

/** A connection to an endpoint, of whatever HTTP. */
export interface PooledConnection {
  /** The connection below its HTTP. */
  readonly link: ConnectionInfo & {
    /** Its own end stays known when it is closed. */
    keepLocalAddress?(): void
  }
  /** Empty: none, bare bytes. */
  readonly protocol: 'HTTP/1.1' | 'HTTP/2' | ''
  /** Whether the handshakes are done. */
  readonly connected: boolean
  /** How many requests it has had. */
  readonly requests: number
  /** Upstream has ended the connection, and had got all of the request before. */
  readonly requestTaken?: boolean
  /** Begins a request, whose answer comes to `receiver`; `takesNothing`: for a client that takes no bytes of it now. */
  begin(receiver: IncomingResponse, takesNothing?: boolean): ClientStream
}

/** The connections of this worker to one endpoint, for one kind of HTTP. */
export interface UpstreamPool {
  readonly size: number
  /** A connection for `waiter` now; null: it waits and hears by `onPoolReady`; 'overflow': no room to wait. */
  acquire(waiter: PoolWaiter): PooledConnection | null | 'overflow'
  /** The waiter gave up. */
  forget(waiter: PoolWaiter): void
  /** Closes what is idle now and the rest as it gets free. */
  drain(): void
  /** Ends every connection now, with what is on it. */
  closeAll(): void
}
