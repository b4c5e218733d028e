import type { Logger } from '@weft/service/logger'
import type { MeshSettings } from '../model/mesh-settings.ts'
import type { Service } from '../model/service.ts'
import type { Workload } from '../model/workload.ts'

/** A service, and how its endpoints are found among all workloads of its namespace or by itself. */
export interface RegisteredService {
  readonly service: Service
  /** Workloads of the service's namespace with these labels are its endpoints, whichever registry knows them. */
  readonly selector: Readonly<Record<string, string>> | undefined
  /** Which of the workloads that the selector finds count; all where undefined. */
  readonly selects?: ((workload: Workload) => boolean) | undefined
  /** Where a service port leads at a workload that does not say so itself: a number, or the name of one of its ports. */
  readonly targetPorts: ReadonlyMap<number, number | string>
  /** Endpoints that the registry knows itself. The same array as before while none of them changed. */
  readonly workloads: readonly Workload[]
  /** Those endpoints have just the ports that they name: a port that one does not name does not lead there. */
  readonly exact?: boolean
}

/** What a registry knows at one moment. Immutable; what did not change is the same object as before. */
export interface RegistryContents {
  readonly services: readonly RegisteredService[]
  readonly workloads: readonly Workload[]
}

export interface RegistryState {
  /** Its first answer is in. */
  synced: boolean
  /** Why its answer may be old: the platform cannot be reached. Undefined while all is well. */
  problem: string | undefined
}

/**
 * Where services and workloads come from. A registry that loses its platform keeps its last answer, says so in
 * `state`, and reconciles on return. Each passes the suite in registries/conformance.
 */
export interface Registry {
  /** `file`, `kubernetes`, `consul`, `nomad`. */
  readonly name: string
  readonly contents: RegistryContents
  readonly state: RegistryState
  /** Calls `listener` after each change of the contents, until the returned function is called. */
  subscribe(listener: () => void): () => void
  close(): Promise<void>
}

/** What a registry is opened with, besides where its platform is. */
export interface RegistryContext {
  mesh: MeshSettings
  logger: Logger
}
