import { type HeaderTable, headerName } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { FormatContext } from '../../observe/format/context.ts'
import type { StreamInfo } from '../../observe/stream-info.ts'
import { StreamRecord } from '../../observe/stream-record.ts'
import type { ConnectionInfo } from '../../transport/connection-info.ts'
import type { HttpFilter, HttpStream, LocalReply, RouteInfo } from './filter.ts'

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
  upgrade?: string
}

/** A request without a connection behind it, for tests of filters: notes what a filter does to it. */
export class FakeStream implements HttpStream {
  readonly request = new RequestHead()
  readonly response = new ResponseHead()
  readonly connection: ConnectionInfo
  readonly info: StreamInfo
  readonly route: RouteInfo | null
  readonly listener = 'test'
  clusterMetadata: Readonly<Record<string, unknown>> | null = null
  readonly filterState = new Map<string, unknown>()
  readonly isGrpc: boolean
  readonly upgrade: string
  metadataOrNull: Record<string, Record<string, unknown>> | null = null
  done = false
  /** How often the filter let the request, or the response, go on. */
  requestsContinued = 0
  responsesContinued = 0
  routesCleared = 0
  readonly replacedFilters = new Map<HttpFilter, HttpFilter>()
  replied: { status: number; body: string; options: LocalReply } | null = null
  requestLimits = { maxHeaders: 100, maxHeadBytes: 60 * 1024 }
  requestBufferLimit = 1024 * 1024
  clusterName: string
  /** What filters that took data sent on. */
  requestData = ''
  responseData: Buffer = Buffer.alloc(0)
  requestTrailers: HeaderTable | null = null
  responseTrailers: HeaderTable | null = null
  requestEnded = false
  responseEnded = false

  constructor(fake: FakeRequest = {}) {
    this.request.method = fake.method ?? 'GET'
    this.request.path = fake.path ?? '/'
    this.request.authority = fake.authority ?? 'test.example'
    for (const [name, value] of Object.entries(fake.headers ?? {})) this.request.headers.append(headerName(name), value)
    this.isGrpc = fake.isGrpc ?? false
    this.upgrade = fake.upgrade ?? ''
    this.route = fake.route ?? null
    this.clusterName = fake.route?.cluster ?? ''
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
      isHealthCheck: false,
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
      hostWish: null,
      ...fake.info,
    }
  }

  metadata(namespace: string): Record<string, unknown> {
    this.metadataOrNull ??= {}
    this.metadataOrNull[namespace] ??= {}
    return this.metadataOrNull[namespace]
  }

  noteShared(metadata: Record<string, Record<string, unknown>>): void {
    for (const namespace of Object.keys(metadata)) Object.assign(this.metadata(namespace), metadata[namespace])
  }

  continueRequest(): void {
    this.requestsContinued++
  }

  continueResponse(): void {
    this.responsesContinued++
  }

  get format(): FormatContext {
    const info = new StreamRecord()
    info.downstreamRemoteAddress = this.info.downstreamRemoteAddress
    return {
      request: this.request,
      response: this.response,
      responseTrailers: null,
      connection: this.connection,
      info,
      metadataOrNull: this.metadataOrNull,
      filterState: this.filterState,
      routeMetadata: null,
      clusterMetadata: this.clusterMetadata,
    }
  }

  replaceFilter(filter: HttpFilter, by: HttpFilter): void {
    this.replacedFilters.set(filter, by)
  }

  injectRequestData(_filter: HttpFilter, data: Buffer, endStream: boolean): void {
    this.requestData += data.toString('latin1')
    this.requestEnded ||= endStream
  }

  injectResponseData(_filter: HttpFilter, data: Buffer, endStream: boolean): void {
    this.responseData = Buffer.concat([this.responseData, data])
    this.responseEnded ||= endStream
  }

  injectRequestTrailers(_filter: HttpFilter, trailers: HeaderTable): void {
    this.requestTrailers = trailers
    this.requestEnded = true
  }

  injectResponseTrailers(_filter: HttpFilter, trailers: HeaderTable): void {
    this.responseTrailers = trailers
    this.responseEnded = true
  }

  replaceRequestBody(data: Buffer): void {
    this.requestData = data.toString('latin1')
  }

  replaceResponseBody(data: Buffer): void {
    this.responseData = data
  }

  pauseRequest(): void {}
  resumeRequest(): void {}
  pauseResponse(): void {}
  resumeResponse(): void {}

  reply(status: number, body: string | Buffer, options: LocalReply): void {
    this.replied = { status, body: body.toString(), options }
  }

  clearRoute(): void {
    this.routesCleared++
  }
}
