import type { ConnectionInfo } from '../transport/connection-info.ts'
import type { UpstreamHost } from '../upstream/upstream-host.ts'
import type { HostWish, StreamInfo } from './stream-info.ts'
import type { WireBytes } from './wire-bytes.ts'

/** How the two connections of a TCP session end, as far as is known. */
export interface SessionEnd {
  downstream: 'Normal' | 'LocalReset' | 'RemoteReset'
  upstream: 'Normal' | 'RemoteReset'
  /** Why we end the one to the endpoint, as Envoy words it; empty: another does. */
  upstreamReason: string
}

/** What is noted of one request (or TCP session) as it goes; access log, filters and tracing read it. */
export class StreamRecord implements StreamInfo {
  /** Monotonic ms; -1: not yet. Zero is the process's start, as performance.now() has it. */
  startMs = 0
  requestEndMs = -1
  upstreamSendStartMs = -1
  upstreamSendEndMs = -1
  upstreamFirstByteMs = -1
  upstreamLastByteMs = -1
  downstreamFirstByteMs = -1
  endMs = -1
  flags: string[] = noFlags
  responseCodeDetails = ''
  terminationDetails = ''
  responseCode = 0
  /** `HTTP/1.1`; empty for TCP. */
  protocol = ''
  upstreamProtocol = ''
  bytesReceived = 0
  bytesSent = 0
  requestId = ''
  routeName = ''
  virtualHost = ''
  virtualCluster = ''
  clusterName = ''
  /** As its statistics call it. */
  clusterStatName = ''
  downstreamRemoteAddress = ''
  downstreamRemotePort = 0
  upstreamEndpoint: UpstreamHost | null = null
  upstreamConnection: ConnectionInfo | null = null
  upstreamFailure = ''
  /** Of a connection whose handshake failed: why. */
  downstreamFailure = ''
  attemptCount = 0
  /** When the latest try began; -1: none has. */
  attemptStartMs = -1
  /** The tries before the latest; null: none. */
  earlierAttempts: { endpoint: UpstreamHost; connectionId: number; reached: boolean }[] | null = null
  private ownId = ''
  /** Counted where a log asks for it. */
  wire: WireBytes | null = null
  localReplyBody = ''
  filterChain = ''
  /** Of a TCP session. */
  sessionEnd: SessionEnd | null = null
  /** Why we end the client's connection, as Envoy words it; empty: another does, or it goes on. */
  localCloseReason = ''
  isHealthCheck = false
  /** Sampled for tracing. */
  isTraced = false
  hostWish: HostWish | null = null

  reset(startMs: number): void {
    this.startMs = startMs
    this.requestEndMs = -1
    this.upstreamSendStartMs = -1
    this.upstreamSendEndMs = -1
    this.upstreamFirstByteMs = -1
    this.upstreamLastByteMs = -1
    this.downstreamFirstByteMs = -1
    this.endMs = -1
    this.flags = noFlags
    this.responseCodeDetails = ''
    this.terminationDetails = ''
    this.responseCode = 0
    this.upstreamProtocol = ''
    this.bytesReceived = 0
    this.bytesSent = 0
    this.requestId = ''
    this.routeName = ''
    this.virtualHost = ''
    this.virtualCluster = ''
    this.clusterName = ''
    this.clusterStatName = ''
    this.upstreamEndpoint = null
    this.upstreamConnection = null
    this.upstreamFailure = ''
    this.attemptCount = 0
    this.attemptStartMs = -1
    this.earlierAttempts = null
    this.ownId = ''
    this.wire = null
    this.localReplyBody = ''
    this.isHealthCheck = false
    this.isTraced = false
    this.hostWish = null
  }

  /** Of what has no request id; made when something asks for it. */
  get streamId(): string {
    if (this.ownId === '') this.ownId = crypto.randomUUID()
    return this.ownId
  }

  get startTimeMs(): number {
    return wallTime(this.startMs)
  }

  elapsedMs(): number {
    return (this.endMs < 0 ? performance.now() : this.endMs) - this.startMs
  }

  get responseFlags(): readonly string[] {
    return this.flags
  }

  addResponseFlag(flag: string): void {
    if (this.flags === noFlags) this.flags = [flag]
    else if (!this.flags.includes(flag)) this.flags.push(flag)
  }

  hasFlag(flag: string): boolean {
    return this.flags.includes(flag)
  }

  /** There was a connection to the endpoint of the latest try. */
  get reachedUpstream(): boolean {
    return (this.upstreamConnection?.connectEndMs ?? -1) >= 0
  }

  get upstreamHost(): StreamInfo['upstreamHost'] {
    const endpoint = this.upstreamEndpoint
    return endpoint === null ? null : { address: endpoint.key, cluster: this.clusterName, metadata: endpoint.metadata }
  }
}

/** Shared by all streams without a flag; never changed. */
const noFlags: string[] = []

let offsetMs = Date.now() - performance.now()
let checkedMs = 0

/** Wall clock (ms) of a monotonic time; follows changes of the clock within a second. */
export function wallTime(monotonicMs: number): number {
  if (monotonicMs - checkedMs > 1000) {
    checkedMs = performance.now()
    offsetMs = Date.now() - checkedMs
  }
  return monotonicMs + offsetMs
}
