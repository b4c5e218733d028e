import { tryParseSpiffeId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'
import type { ProxyNode } from '../scope/proxy-node.ts'

/**
 * Refuses a proxy that claims another namespace or service account than its certificate proves: configuration tells
 * what a namespace's workloads may see. Throws `unauthenticated` without a certificate, `permission_denied` otherwise.
 */
export function checkIdentity(proxy: ProxyNode, identity: string | undefined, allowUnauthenticated: boolean): void {
  if (identity === undefined) {
    if (allowUnauthenticated) return
    throw new WeftError('unauthenticated', 'the client showed no certificate with a SPIFFE id', {
      hint: 'connect with the certificate that Citadel issued for the workload',
    })
  }
  const workload = tryParseSpiffeId(identity)?.workload
  if (workload === undefined) {
    throw new WeftError('permission_denied', `${identity} is not the identity of a workload`, {
      hint: 'a proxy has one of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>',
    })
  }
  const wrong =
    workload.namespace !== proxy.namespace
      ? `namespace ${proxy.namespace}`
      : proxy.serviceAccount !== '' && workload.serviceAccount !== proxy.serviceAccount
        ? `service account ${proxy.serviceAccount}`
        : undefined
  if (wrong === undefined) return
  throw new WeftError('permission_denied', `${identity} may not speak for ${wrong} (node ${proxy.id.slice(0, 200)})`, {
    hint: 'the node id and metadata have to agree with the certificate',
  })
}
