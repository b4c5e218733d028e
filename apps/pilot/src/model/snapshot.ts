import type { ConfigObject, RawObject, TypedObject } from '@weft/config/objects'
import type { Credential } from '../credentials/credential.ts'
import type { Change } from './change.ts'
import type { TranslatedIngresses } from './ingress.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { Service } from './service.ts'
import type { EndpointSet } from './workload.ts'
import type { WorkloadIndex } from './workload-index.ts'

/**
 * Everything Pilot knows at one moment. Immutable: a change makes a new one, which shares what did not change.
 * Lists of objects are in order of precedence: oldest first, then by name, then by namespace.
 */
export interface Snapshot {
  /** Grows by one with each snapshot. */
  readonly version: number
  readonly mesh: MeshSettings

  readonly services: readonly Service[]
  /** By host, then by namespace. */
  readonly servicesByHost: ReadonlyMap<string, ReadonlyMap<string, Service>>
  /** By serviceKey(namespace, host). Services without endpoints have an empty set or none. */
  readonly endpoints: ReadonlyMap<string, EndpointSet>
  /** Workloads by address: how a proxy finds what it stands beside. */
  readonly workloads: WorkloadIndex

  /** Every object by objectKey(kind, namespace, name), for going back to its file and line. */
  readonly objects: ReadonlyMap<string, ConfigObject>
  /** Objects that Pilot hands on unread or reads only in part: those of config.istio.io (Mixer) and the like, by key. */
  readonly rawObjects: ReadonlyMap<string, RawObject>
  /** Hosts are full names here, and delegates are merged into the roots that name them. */
  readonly virtualServices: readonly TypedObject<'VirtualService'>[]
  /** Hosts are full names. */
  readonly destinationRules: readonly TypedObject<'DestinationRule'>[]
  readonly destinationRulesByHost: ReadonlyMap<string, readonly TypedObject<'DestinationRule'>[]>
  readonly gateways: ReadonlyMap<string, TypedObject<'Gateway'>>
  readonly sidecars: readonly TypedObject<'Sidecar'>[]
  readonly envoyFilters: readonly TypedObject<'EnvoyFilter'>[]
  readonly peerAuthentications: readonly TypedObject<'PeerAuthentication'>[]
  readonly requestAuthentications: readonly TypedObject<'RequestAuthentication'>[]
  readonly authorizationPolicies: readonly TypedObject<'AuthorizationPolicy'>[]
  readonly telemetries: readonly TypedObject<'Telemetry'>[]

  /** What Ingresses are translated to, which `objects` has too; `from` which, and with which numbers of ports by host and name. */
  readonly ingress: {
    readonly from: readonly ConfigObject[]
    readonly ports: ReadonlyMap<string, number | undefined>
    readonly translated: TranslatedIngresses
  }

  /** Certificates and authorities that Gateways and DestinationRules name, by credentialKey. */
  readonly credentials: ReadonlyMap<string, Credential>
}

/** A new snapshot, what differs from the one before, and when the first of these changes came (performance.now()). */
export interface SnapshotUpdate {
  readonly snapshot: Snapshot
  readonly changes: readonly Change[]
  readonly changedAtMs: number
}

/** Where snapshots come from. */
export interface SnapshotSource {
  readonly current: Snapshot
  /** Calls `listener` after each change, until the returned function is called. */
  subscribe(listener: (update: SnapshotUpdate) => void): () => void
}
