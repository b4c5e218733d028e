import type { Kind } from '@weft/config/objects'

/** What a change touched. `Raw` is any object of Snapshot.rawObjects. `Endpoints` alone never needs clusters, listeners or routes to be built again. */
type ChangeKind = Kind | 'MeshConfig' | 'Endpoints' | 'Raw' | 'Credential'

/**
 * One thing that differs between two snapshots. For Service and Endpoints `host` is the service's host; for
 * VirtualService and DestinationRule one change is given for each host they speak about (`*` for a delegate); for the others it is
 * the object's name.
 */
export interface Change {
  readonly kind: ChangeKind
  readonly namespace: string
  readonly host: string
}
