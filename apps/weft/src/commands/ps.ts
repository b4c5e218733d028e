import { exitCodes } from '../exit-codes.ts'
import { type PartState, requireMesh, stateFolder } from '../mesh/state.ts'
import { type Terminal, table } from '../terminal.ts'

/** `weft ps`: the processes of the mesh that runs from a state folder. */
export function ps(options: { stateDir?: string; output?: string }, terminal: Terminal): number {
  const mesh = requireMesh(stateFolder(options.stateDir))
  if (options.output === 'json') {
    terminal.print(JSON.stringify(mesh, null, 2))
    return exitCodes.ok
  }
  const rows = mesh.parts.map((part) => [
    part.name,
    part.kind,
    part.state,
    String(part.pid ?? '–'),
    String(part.restarts),
    age(part),
    part.address,
    part.admin ?? '–',
  ])
  terminal.print(table(['NAME', 'KIND', 'STATE', 'PID', 'RESTARTS', 'AGE', 'ADDRESS', 'ADMIN'], rows))
  return exitCodes.ok
}

function age(part: PartState): string {
  if (part.startedAt === undefined) return '–'
  const total = Math.max(0, Math.round((Date.now() - part.startedAt) / 1000))
  if (total < 120) return `${total}s`
  return total < 7200 ? `${Math.floor(total / 60)}m` : `${Math.floor(total / 3600)}h`
}
