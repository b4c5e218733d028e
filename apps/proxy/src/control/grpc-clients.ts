import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { ChannelCredentials, ChannelOptions, Client, Metadata } from '@grpc/grpc-js'
import type { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import { WeftError } from '@weft/service/errors'

/** What a control-plane connection needs to know of a cluster. */
export interface GrpcCluster {
  /** `host:port` or `unix:path` of its endpoints, in order of preference. */
  addresses: string[]
  /** Null: plaintext. */
  tls: ConnectionOptions | null
}

interface Held {
  client: Client
  /** What the client was made from; another one makes a new client. */
  addresses: string
  secureContext: ConnectionOptions['secureContext']
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
    const { tls } = cluster
    const addresses = cluster.addresses.join()
    let held = this.#held.get(name)
    if (held === undefined || held.addresses !== addresses || held.secureContext !== tls?.secureContext) {
      held?.client.close()
      const options: ChannelOptions = {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2_000,
        'grpc.keepalive_time_ms': 30_000,
        'grpc.keepalive_timeout_ms': 10_000,
        'grpc.max_receive_message_length': target.value.maxReceiveMessageLength ?? 64 << 20,
        'grpc.use_local_subchannel_pool': 1,
        ...(tls === null ? {} : { 'grpc.ssl_target_name_override': tls.servername ?? name }),
        'grpc.default_authority': target.value.authority || tls?.servername || name,
      }
      const client = new grpc.Client(targetOf(cluster.addresses), credentials(grpc.credentials, tls), options)
      held = { client, addresses, secureContext: tls?.secureContext }
      this.#held.set(name, held)
    }
    const metadata = new grpc.Metadata()
    for (const { key, value, rawValue } of service.initialMetadata)
      metadata.add(key.toLowerCase(), rawValue.length > 0 ? rawValue.toString() : withFileContent(value))
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

type CredentialsFactory = Pick<typeof ChannelCredentials, 'createInsecure' | 'createFromSecureContext'>

function credentials(factory: CredentialsFactory, tls: ConnectionOptions | null): ChannelCredentials {
  if (tls?.secureContext === undefined) return factory.createInsecure()
  const { checkServerIdentity, rejectUnauthorized } = tls
  return factory.createFromSecureContext(tls.secureContext, {
    ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  })
}

/**
 * A metadata value with `%FILE_CONTENT(path)%` replaced by what the file holds now, without white space at its end: tokens are
 * rotated. Throws `unavailable` when it can't be read.
 */
function withFileContent(value: string): string {
  return value.replaceAll(/%FILE_CONTENT\(([^)]+)\)%/g, (_, file: string) => {
    try {
      return readFileSync(file, 'utf8').trimEnd()
    } catch (cause) {
      throw new WeftError('unavailable', `initial metadata cannot be read: ${WeftError.from(cause).message}`, {
        where: { file },
        cause,
      })
    }
  })
}
