import { headerName } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ConnectionInfo, HttpStream, LocalReply, RouteInfo, StreamInfo } from './filter.ts'

/** What a test says of a request; the rest is a plain GET. */
export interface FakeRequest {
  method?: string
  path?: string
  authority?: string
  headers?: Readonly<Record<string, string>>
  connection?: Partial<ConnectionInfo>
  info?: Partial<StreamInfo>
  route?: RouteInfo | null
  isGrpc?: boolean
}

/** A request without a connection behind it, for tests of filters: notes what a filter does to it. */
export class FakeStream implements HttpStream {
  readonly request = new RequestHead()
  readonly response = new ResponseHead()
  readonly connection: ConnectionInfo
  readonly info: StreamInfo
  readonly route: RouteInfo | null
  readonly listener = 'test'
  readonly filterState = new Map<string, unknown>()
  readonly isGrpc: boolean
  metadataOrNull: Record<string, Record<string, unknown>> | null = null
  done = false
  /** How often the filter let the request, or the response, go on. */
  requestsContinued = 0
  responsesContinued = 0
  routesCleared = 0
  replied: { status: number; body: string; options: LocalReply } | null = null

  constructor(fake: FakeRequest = {}) {
    this.request.method = fake.method ?? 'GET'
    this.request.path = fake.path ?? '/'
    this.request.authority = fake.authority ?? 'test.example'
    for (const [name, value] of Object.entries(fake.headers ?? {})) this.request.headers.append(headerName(name), value)
    this.isGrpc = fake.isGrpc ?? false
    this.route = fake.route ?? null
    this.connection = {
      id: 1,
      remoteAddress: '127.0.0.1',
      remotePort: 40000,
      localAddress: '127.0.0.1',
      localPort: 80,
      tls: null,
      serverName: '',
      ...fake.connection,
    }
    this.info = {
      startTimeMs: 1_500_000_000_000,
      elapsedMs: () => 12.5,
      responseFlags: [],
      addResponseFlag: () => {},
      responseCodeDetails: '',
      bytesReceived: 0,
      bytesSent: 0,
      requestId: '',
      downstreamRemoteAddress: '127.0.0.1',
      upstreamHost: null,
      upstreamConnection: null,
      attemptCount: 0,
      ...fake.info,
    }
  }

  metadata(namespace: string): Record<string, unknown> {
    this.metadataOrNull ??= {}
    this.metadataOrNull[namespace] ??= {}
    return this.metadataOrNull[namespace]
  }

  continueRequest(): void {
    this.requestsContinued++
  }

  continueResponse(): void {
    this.responsesContinued++
  }

  reply(status: number, body: string, options: LocalReply): void {
    this.replied = { status, body, options }
  }

  clearRoute(): void {
    this.routesCleared++
  }
}
