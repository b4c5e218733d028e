import { PilotClient, type PilotOptions } from '../clients/pilot.ts'
import { exitCodes } from '../exit-codes.ts'
import { type Terminal, table } from '../terminal.ts'

const types = { Cluster: 'CDS', ClusterLoadAssignment: 'EDS', Listener: 'LDS', RouteConfiguration: 'RDS' } as const

/** `weft proxy-status`: for each proxy that is connected, whether it runs what Pilot sent, and why not. */
export async function proxyStatus(options: PilotOptions & { output: 'table' | 'json' }, terminal: Terminal): Promise<number> {
  const status = await PilotClient.of(options).proxyStatus()
  if (options.output === 'json') {
    terminal.print(JSON.stringify(status, null, 2))
    return exitCodes.ok
  }
  const rows = status.proxies.map((proxy) => {
    const [, , name] = proxy.node.split('~')
    return [name ?? proxy.node, ...Object.keys(types).map((type) => proxy.types[type]?.state ?? 'NOT ASKED'), proxy.version]
  })
  if (rows.length === 0) terminal.print('no proxy is connected')
  else
    terminal.print(
      table(
        ['NAME', ...Object.values(types), 'VERSION'],
        rows.sort((a, b) => (a[0] ?? '').localeCompare(b[0] ?? '')),
      ),
    )
  for (const { nacks } of status.proxies) {
    for (const nack of nacks) {
      const [from] = nack.objects
      const place = from === undefined ? '' : ` (from ${from.object}, ${from.file}:${from.line})`
      terminal.print(
        `${terminal.style('red', 'refused:')} ${nack.node}: ${nack.resourceType} ${nack.resource}: ${nack.message}${place}`,
      )
    }
  }
  return exitCodes.ok
}
