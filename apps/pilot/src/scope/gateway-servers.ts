import { commonHost, selects } from '../model/host.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { exportedTo } from './export-to.ts'
import type { ProxyNode } from './proxy-node.ts'
import type { GatewayServer } from './scope.ts'

/** The servers of all Gateways that select a router, each with the VirtualServices that bind to it. */
export function gatewayServersFor(snapshot: Snapshot, proxy: ProxyNode): GatewayServer[] {
  if (proxy.type !== 'router') return []
  const servers: GatewayServer[] = []
  for (const [name, gateway] of snapshot.gateways) {
    if (!selects(gateway.spec.selector, proxy.labels)) continue
    const bound = snapshot.virtualServices.filter(
      ({ spec, metadata }) =>
        spec.gateways.includes(name) &&
        exportedTo(spec.exportTo, snapshot.mesh.defaultVirtualServiceExportTo, metadata.namespace, proxy.namespace),
    )
    for (const [index, server] of gateway.spec.servers.entries()) {
      servers.push({
        gateway,
        index,
        virtualServices: bound.filter(
          ({ spec, metadata }) =>
            serverHosts(server.hosts, spec.hosts, metadata.namespace, gateway.metadata.namespace).length > 0,
        ),
      })
    }
  }
  return servers
}

/**
 * The hosts that a VirtualService gets at a Gateway's server: what its hosts have in common with the server's
 * (each `host` or `namespace/host`, where `.` and `*` may stand for the namespace), each once.
 */
export function serverHosts(
  allowed: readonly string[],
  hosts: readonly string[],
  namespace: string,
  gatewayNamespace: string,
): string[] {
  const found = new Set<string>()
  for (const entry of allowed) {
    const slash = entry.indexOf('/')
    const from = slash < 0 ? '*' : entry.slice(0, slash)
    if (from !== '*' && from !== namespace && !(from === '.' && namespace === gatewayNamespace)) continue
    for (const host of hosts) {
      const common = commonHost(entry.slice(slash + 1), host)
      if (common !== undefined) found.add(common)
    }
  }
  return [...found]
}
