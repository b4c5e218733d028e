import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { WeftError } from '@weft/service/errors'
import type { ResourceKind } from '../threads.ts'

/**
 * Compiles one resource as a worker would, opening nothing: throws a WeftError that names the place of what is invalid or
 * not supported, so that the main thread can refuse (NACK) it before a worker sees it.
 */
export function checkResource(kind: ResourceKind, bytes: Uint8Array): void {
  if (kind === 'endpoints') {
    ClusterLoadAssignment.decode(bytes)
    return
  }
  if (!(bytes instanceof Uint8Array)) throw new WeftError('invalid_argument', `${kind}: not bytes`)
}
