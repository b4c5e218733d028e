import {
  type handleBidiStreamingCall,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { AggregatedDiscoveryServiceService } from '@weft/contracts/envoy/service/discovery/v3/ads'
import type { DeltaDiscoveryRequest, DiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { WeftError } from '@weft/service/errors'
import { toServiceError } from '@weft/service/grpc'
import { delta } from './delta.ts'
import { createRequestReader } from './request-reader.ts'
import { sotw } from './sotw.ts'
import { Stream, type StreamEvents } from './stream.ts'
import type { Variant } from './variant.ts'

/** Who is at the other end of a stream, as the transport knows it. */
interface Peer {
  /** `address:port` as gRPC gives it. */
  readonly address: string
  /** The client's certificate (DER), which TLS has verified; undefined when it showed none. */
  readonly certificate: Buffer | undefined
}

/** A client that has introduced itself; the owner gives it snapshots by `stream.update`. */
export interface XdsClient {
  readonly id: number
  readonly node: Node
  readonly peer: Peer
  readonly variant: 'sotw' | 'delta'
  readonly stream: Stream
}

export interface XdsServerOptions {
  /** Most streams at a time; further ones are refused with RESOURCE_EXHAUSTED. */
  readonly maxStreams?: number
  /** Takes a client in, or throws a WeftError to refuse it. What it gives hears of the stream's events. */
  readonly connect: (client: XdsClient) => StreamEvents & { closed?(): void }
}

export interface XdsService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** Streams that are open now. */
  readonly size: () => number
  /** Ends all streams, so that their clients go to another replica. */
  close(): void
}

type Call<Request> = ServerDuplexStream<Request, Buffer>

const { streamAggregatedResources, deltaAggregatedResources } = AggregatedDiscoveryServiceService
const asItIs = (bytes: Buffer): Buffer => bytes
/** The generated service, except that responses are bytes already. */
const definition: ServiceDefinition = {
  streamAggregatedResources: {
    ...streamAggregatedResources,
    requestDeserialize: createRequestReader(),
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
  deltaAggregatedResources: { ...deltaAggregatedResources, responseSerialize: asItIs, responseDeserialize: asItIs },
}

/** Resources handed to the transport in one turn of the event loop, over all streams, before others get their turn. */
const resourcesPerTurn = 10_000
/** Time a client has to introduce itself. */
const introductionMs = 10_000

/** The Aggregated Discovery Service in both variants, as a gRPC service over the snapshots its owner gives. */
export function createXdsService(options: XdsServerOptions): XdsService {
  const { maxStreams = 10_000 } = options
  const calls = new Set<Call<DiscoveryRequest> | Call<DeltaDiscoveryRequest>>()
  const turns = createTurns()
  let nextId = 1

  function serve<Request>(call: Call<Request>, variant: Variant<Request>): () => void {
    let client: XdsClient | undefined
    let events: ReturnType<XdsServerOptions['connect']> = {}
    let ended = false

    const end = (): void => {
      if (ended) return
      ended = true
      clearTimeout(introduction)
      if (client === undefined) return
      client.stream.close()
      turns.forget(client.stream)
      events.closed?.()
    }
    const refuse = (thrown: unknown): void => {
      end()
      call.emit('error', toServiceError(thrown))
    }
    const introduction = setTimeout(
      () => refuse(new WeftError('deadline_exceeded', 'no first request', { hint: `send one within ${introductionMs} ms` })),
      introductionMs,
    )
    introduction.unref()

    call.on('data', (request: Request) => {
      if (ended) return
      try {
        const ask = variant.read(request)
        if (client === undefined) {
          if (ask.node === undefined || ask.node.id === '') {
            throw new WeftError('invalid_argument', 'the first request of a stream has no node id', {
              hint: 'set node.id in the bootstrap (sidecar~ip~name.namespace~domain)',
            })
          }
          clearTimeout(introduction)
          const stream: Stream = new Stream({
            variant: variant.name,
            events: {
              sent: (typeUrl, nonce, update, snapshot) => events.sent?.(typeUrl, nonce, update, snapshot),
              unchanged: (typeUrl, snapshot) => events.unchanged?.(typeUrl, snapshot),
              accepted: (typeUrl, nonce) => events.accepted?.(typeUrl, nonce),
              refused: (typeUrl, nonce, refusal) => events.refused?.(typeUrl, nonce, refusal),
              unserved: (typeUrl) => events.unserved?.(typeUrl),
              health: (problem) => events.health?.(problem),
            },
            write: (typeUrl, nonce, update) => call.write(variant.write(typeUrl, nonce, update)),
            wantsFlush: () => turns.take(stream),
          })
          const introduced: XdsClient = { id: nextId, node: ask.node, peer: peerOf(call), variant: variant.name, stream }
          nextId += 1
          events = options.connect(introduced)
          client = introduced
        }
        client.stream.receive(ask)
      } catch (thrown) {
        refuse(thrown)
      }
    })
    call.on('drain', () => client?.stream.writable())
    call.on('end', () => {
      end()
      call.end()
    })
    call.on('cancelled', end)
    call.on('close', end)
    call.on('error', end)
    return end
  }

  const handler =
    <Request>(variant: Variant<Request>): handleBidiStreamingCall<Request, Buffer> =>
    (call) => {
      if (calls.size >= maxStreams) {
        call.emit('error', {
          code: status.RESOURCE_EXHAUSTED,
          details: `${maxStreams} streams are open, the most this server serves`,
        })
        return
      }
      const own = call as unknown as Call<DiscoveryRequest>
      calls.add(own)
      const end = serve(call, variant)
      const forget = (): void => {
        end()
        calls.delete(own)
      }
      call.on('cancelled', forget)
      call.on('close', forget)
      call.on('end', forget)
      call.on('error', forget)
    }

  return {
    definition,
    implementation: { streamAggregatedResources: handler(sotw), deltaAggregatedResources: handler(delta) },
    size: () => calls.size,
    close: () => {
      for (const call of calls) call.end()
      turns.close()
    },
  }
}

function peerOf(call: ServerDuplexStream<unknown, unknown>): Peer {
  return { address: call.getPeer(), certificate: call.getAuthContext().sslPeerCertificate?.raw }
}

/** Streams that have something to flush, each once, first come first served, with a pause between portions. */
function createTurns(): { take(stream: Stream): void; forget(stream: Stream): void; close(): void } {
  const waiting = new Set<Stream>()
  let scheduled: NodeJS.Immediate | undefined

  const run = (): void => {
    scheduled = undefined
    let count = 0
    for (const stream of waiting) {
      waiting.delete(stream)
      count += stream.flush()
      if (count >= resourcesPerTurn) break
    }
    if (waiting.size > 0) scheduled ??= setImmediate(run)
  }
  return {
    take: (stream) => {
      waiting.add(stream)
      scheduled ??= setImmediate(run)
    },
    forget: (stream) => void waiting.delete(stream),
    close: () => {
      waiting.clear()
      if (scheduled !== undefined) clearImmediate(scheduled)
    },
  }
}
