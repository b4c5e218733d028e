import type { Registry } from '../registry.ts'

/** A service of a platform, in words that every platform has. */
export interface PlatformService {
  name: string
  /** Default: `default`. */
  namespace?: string
  ports: readonly PlatformPort[]
  instances: readonly PlatformInstance[]
}

export interface PlatformPort {
  /** As Istio reads it: `http`, `grpc-web`, `tcp-db`; its prefix is the protocol unless `protocol` says it. */
  name: string
  number: number
  /** Kubernetes' appProtocol, or the platform's own way to say it. */
  protocol?: string
}

export interface PlatformInstance {
  /** Unique on the platform. */
  name: string
  address: string
  /** Where each of the service's ports leads here, by name. */
  ports: Readonly<Record<string, number>>
  labels?: Readonly<Record<string, string>>
  /** What the platform's own check says. Default: true. */
  healthy?: boolean
  locality?: { region: string; zone: string }
  network?: string
  weight?: number
  serviceAccount?: string
  /** It has a sidecar that takes mutual TLS. */
  sidecar?: boolean
}

/** What not every platform has. */
export type Feature =
  | 'network' // it is spoken to over a network
  | 'restart'
  | 'credentials'
  | 'history' // changes are numbered, and old ones are forgotten
  | 'namespaces'
  | 'weights'
  | 'empty services' // a service without endpoints exists
  | 'half-written' // somebody may be read in the middle of writing

/** How the suite drives a platform: one for each, real or a stand-in. */
export interface Platform {
  readonly name: string
  /** What it does not have, and why. */
  readonly lacks: Readonly<Partial<Record<Feature, string>>>
  /** Where it listens, for a relay before it; undefined where it is not spoken to over a network. */
  readonly target: { host: string; port: number } | undefined
  /**
   * Makes the platform hold exactly these services, by the fewest changes; resolves when it has taken them. A service
   * of which nothing changed is not touched.
   */
  set(services: readonly PlatformService[]): Promise<void>
  /** Flags by which a Pilot of its own process follows it. */
  readonly pilotFlags?: readonly string[]
  /** Opens a registry on it; through this address where it has a `target`. */
  open(through: { host: string; port: number } | undefined): Promise<Registry>
  /** Ends its server and starts it again with the data it had. */
  restart?(): Promise<void>
  /** Makes the credentials that `open` used invalid, and later makes valid ones stand in their place. */
  credentials?: { expire(): Promise<void>; renew(): Promise<void> }
  /** Makes it forget the history that watchers go on from: compaction, an index that went backwards. */
  forget?(): Promise<void>
  /** Begins to write this change and stops in the middle; the returned function ends it. */
  writeHalf?(services: readonly PlatformService[]): Promise<() => Promise<void>>
  close(): Promise<void>
}
