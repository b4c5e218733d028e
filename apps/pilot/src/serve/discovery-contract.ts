import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import type { Registry } from '@weft/service/metrics'
import type { CredentialSource } from '../credentials/credential.ts'
import type { SnapshotSource } from '../model/snapshot.ts'
import type { Registration } from '../registration/registration.ts'
import type { PushObserver } from '../status/push-status.ts'

/** What main gives to `createDiscovery` of serve/discovery.ts: the output half of Pilot. */
export interface DiscoveryOptions {
  /** Its `current` is the first whole snapshot already. */
  readonly snapshots: SnapshotSource
  /** Has to hear of each type of each proxy for each generation: `sent` (then `acked` or `nacked`) or `unchanged`. */
  readonly observer: PushObserver
  readonly logger: Logger
  readonly metrics: Registry
  readonly lifecycle: Lifecycle
  /** Whether a client that proves no identity is served: true on the plaintext port alone. */
  readonly allowUnauthenticated: boolean
  /** Where proxies are registered that ask for it. */
  readonly registration: Registration
  /** Who may have which credentials; nobody any where there is none. */
  readonly credentials: CredentialSource | undefined
}

/** The gRPC services of Pilot; started on each of its addresses. */
interface Discovery {
  readonly services: readonly { definition: ServiceDefinition; implementation: UntypedServiceImplementation }[]
}

export type CreateDiscovery = (options: DiscoveryOptions) => Discovery
