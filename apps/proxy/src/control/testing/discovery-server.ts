import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { AggregatedDiscoveryServiceService } from '@weft/contracts/envoy/service/discovery/v3/ads'
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  DiscoveryResponse,
} from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { SecretDiscoveryServiceService } from '@weft/contracts/envoy/service/secret/v3/sds'
import type { ResourceKind } from '../../threads.ts'
import { kindUrls } from '../resource.ts'

type Stream = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>

/** A resource to serve: its binary form. */
export interface Served {
  name: string
  bytes: Uint8Array
}

/**
 * A control plane for tests: ADS (state of the world) and SDS over gRPC. It answers each request whose version is not the
 * one it has, and remembers every request.
 */
export class DiscoveryServer {
  readonly requests: DiscoveryRequest[] = []
  /** Metadata of each stream. */
  readonly metadata: Record<string, string>[] = []
  readonly #server = new Server()
  readonly #served = new Map<string, { version: string; resources: Served[] }>()
  readonly #streams = new Map<Stream, Map<string, DiscoveryRequest>>()
  readonly #credentials: ServerCredentials
  #nonce = 0
  port = 0

  constructor(credentials: ServerCredentials = ServerCredentials.createInsecure()) {
    this.#credentials = credentials
    const handle = (stream: Stream): void => this.#handle(stream)
    const noDelta = (stream: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>): void => void stream.end()
    this.#server.addService(AggregatedDiscoveryServiceService, {
      streamAggregatedResources: handle,
      deltaAggregatedResources: noDelta,
    })
    this.#server.addService(SecretDiscoveryServiceService, {
      streamSecrets: handle,
      deltaSecrets: noDelta,
      fetchSecrets: (_call: unknown, done: (error: Error) => void) => done(new Error('not here')),
    })
  }

  async start(port = 0): Promise<void> {
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, this.#credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      )
    })
  }

  /** Serves these resources of a kind from now on, to all who asked. */
  serve(kind: ResourceKind, version: string, resources: Served[]): void {
    this.#served.set(kindUrls[kind], { version, resources })
    for (const [stream, asked] of this.#streams) {
      const request = asked.get(kindUrls[kind])
      if (request !== undefined) this.#answer(stream, request)
    }
  }

  /** The latest request of a kind. */
  last(kind: ResourceKind): DiscoveryRequest | undefined {
    return this.requests.findLast(({ typeUrl }) => typeUrl === kindUrls[kind])
  }

  /** The latest refusal of a kind. */
  nack(kind: ResourceKind): string | undefined {
    return this.requests.findLast(({ typeUrl, errorDetail }) => typeUrl === kindUrls[kind] && errorDetail !== undefined)
      ?.errorDetail?.message
  }

  get connections(): number {
    return this.#streams.size
  }

  stop(): void {
    this.#server.forceShutdown()
  }

  #handle(stream: Stream): void {
    const asked = new Map<string, DiscoveryRequest>()
    this.#streams.set(stream, asked)
    this.metadata.push(Object.fromEntries(Object.entries(stream.metadata.getMap()).map(([key, value]) => [key, String(value)])))
    stream.on('data', (request: DiscoveryRequest) => {
      this.requests.push(request)
      const before = asked.get(request.typeUrl)
      asked.set(request.typeUrl, request)
      const names = request.resourceNames.join()
      if (
        request.errorDetail === undefined &&
        (before === undefined || before.resourceNames.join() !== names || request.responseNonce === '')
      )
        this.#answer(stream, request)
    })
    const gone = (): void => void this.#streams.delete(stream)
    stream.on('error', gone)
    stream.on('end', () => {
      gone()
      stream.end()
    })
    stream.on('cancelled', gone)
  }

  #answer(stream: Stream, request: DiscoveryRequest): void {
    const served = this.#served.get(request.typeUrl)
    if (served === undefined) return
    const wanted = request.resourceNames
    const resources = served.resources.filter(({ name }) => wanted.length === 0 || wanted.includes(name))
    if (wanted.length > 0 && resources.length === 0) return
    stream.write(
      DiscoveryResponse.fromPartial({
        versionInfo: served.version,
        typeUrl: request.typeUrl,
        nonce: String(++this.#nonce),
        resources: resources.map(({ bytes }) => ({ typeUrl: request.typeUrl, value: Buffer.from(bytes) })),
      }),
    )
  }
}
