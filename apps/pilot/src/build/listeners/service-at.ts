import type { Service } from '../../model/service.ts'
import type { Scope } from '../../scope/scope.ts'

/** The service that a provider of MeshConfig names as `host` or `namespace/host`, where the proxy sees it with that port. */
export function serviceAt({ service, port }: { service: string; port: number }, scope: Scope): Service | undefined {
  const host = service.slice(service.indexOf('/') + 1)
  const found = scope.service(host) ?? scope.service(`${host}.svc.${scope.snapshot.mesh.domain}`)
  return found?.ports.some(({ number }) => number === port) ? found : undefined
}
