import type { ChannelCredentials, ChannelOptions, Client, Metadata } from '@grpc/grpc-js'
import type { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import { WeftError } from '@weft/service/errors'
import { identityCheck } from './server-identity.ts'
import type { UpstreamTls } from './upstream-tls.ts'

/** What a control-plane connection needs to know of a cluster. */
export interface GrpcCluster {
  /** `host:port` or `unix:path` of its endpoints, in order of preference. */
  addresses: string[]
  /** Undefined: plaintext. */
  tls: UpstreamTls | undefined
  connectTimeoutMs: number
}

interface Held {
  client: Client
  /** What the client was made from; another one makes a new client. */
  fingerprint: string
}

/**
 * gRPC clients to clusters (xDS and secrets come over them), one a cluster; made anew when the cluster's endpoints or
 * certificates have changed. grpc-js is loaded with the first one: a proxy with a static configuration never needs it.
 */
export class GrpcClients {
  readonly #clusters: (name: string) => Promise<GrpcCluster>
  readonly #held = new Map<string, Held>()

  constructor(clusters: (name: string) => Promise<GrpcCluster>) {
    this.#clusters = clusters
  }

  /** The client for a service, and the metadata that each call carries. Waits until the cluster is known and has secrets. */
  async connect(service: GrpcService): Promise<{ client: Client; metadata: Metadata }> {
    const target = service.targetSpecifier
    if (target?.$case !== 'envoyGrpc') throw new WeftError('unimplemented', 'google_grpc is not supported by this proxy')
    const name = target.value.clusterName
    const cluster = await this.#clusters(name)
    if (cluster.addresses.length === 0) throw new WeftError('unavailable', `cluster ${name} has no endpoint`)
    const grpc = await import('@grpc/grpc-js')
    const authority = target.value.authority
    const fingerprint = JSON.stringify([cluster.addresses, cluster.tls?.fingerprint, authority])
    let held = this.#held.get(name)
    if (held?.fingerprint !== fingerprint) {
      held?.client.close()
      const options: ChannelOptions = {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2_000,
        'grpc.keepalive_time_ms': 30_000,
        'grpc.keepalive_timeout_ms': 10_000,
        'grpc.max_receive_message_length': target.value.maxReceiveMessageLength ?? 64 << 20,
        'grpc.use_local_subchannel_pool': 1,
        ...(cluster.tls === undefined ? {} : { 'grpc.ssl_target_name_override': cluster.tls.sni || 'xds' }),
        'grpc.default_authority': authority || cluster.tls?.sni || name,
      }
      held = {
        client: new grpc.Client(targetOf(cluster.addresses), credentials(grpc.credentials, cluster.tls), options),
        fingerprint,
      }
      this.#held.set(name, held)
    }
    const metadata = new grpc.Metadata()
    for (const { key, value, rawValue } of service.initialMetadata)
      metadata.add(key.toLowerCase(), rawValue.length > 0 ? rawValue.toString() : value)
    return { client: held.client, metadata }
  }

  /** Forgets a cluster's client, so that the next connection is made with what holds then. */
  forget(cluster: string): void {
    this.#held.get(cluster)?.client.close()
    this.#held.delete(cluster)
  }

  close(): void {
    for (const { client } of this.#held.values()) client.close()
    this.#held.clear()
  }
}

function targetOf(addresses: string[]): string {
  const first = addresses[0] ?? ''
  if (first.startsWith('unix:')) return first
  const v6 = first.startsWith('[')
  return `${v6 ? 'ipv6' : 'ipv4'}:${addresses.filter((address) => address.startsWith('[') === v6).join(',')}`
}

function credentials(
  factory: { createInsecure(): ChannelCredentials; createSsl: typeof ChannelCredentials.createSsl },
  tls: UpstreamTls | undefined,
): ChannelCredentials {
  if (tls === undefined) return factory.createInsecure()
  const checkServerIdentity = identityCheck(tls.validation)
  return factory.createSsl(tls.ca ?? null, tls.key ?? null, tls.certificate ?? null, {
    checkServerIdentity,
    rejectUnauthorized: tls.ca !== undefined,
  })
}
