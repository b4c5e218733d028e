import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const part = z.object({
  name: z.string(),
  kind: z.enum(['citadel', 'pilot', 'mixer', 'gateway', 'sidecar', 'application']),
  state: z.enum(['starting', 'ready', 'waiting', 'stopping', 'stopped']),
  pid: z.number().int().optional(),
  restarts: z.number().int(),
  /** Milliseconds since 1970 when the process now running was started. */
  startedAt: z.number().optional(),
  /** Where it serves: `host:port`, or the address a workload has. */
  address: z.string(),
  /** The admin server of a control-plane service or a proxy: `host:port`. */
  admin: z.string().optional(),
  identity: z.string().optional(),
  log: z.string(),
})

/** What `.weft/mesh.json` tells other commands and tools about the mesh that runs from this folder. */
const meshState = z.object({
  version: z.literal(1),
  /** The supervisor, and when it was started (its process's start time, against a number given out anew). */
  pid: z.number().int(),
  pidStartedAt: z.string(),
  octet: z.number().int(),
  folder: z.string(),
  ready: z.boolean(),
  urls: z.array(z.string()),
  gatewayPorts: z.record(z.string(), z.number()),
  pilot: z.object({ admin: z.string(), grpc: z.string() }),
  citadel: z.object({ admin: z.string(), grpc: z.string(), operatorTokenFile: z.string(), rootCertFile: z.string() }),
  mixers: z.array(z.object({ admin: z.string(), grpc: z.string() })),
  parts: z.array(part),
})

export type MeshState = z.infer<typeof meshState>
export type PartState = z.infer<typeof part>

export const stateFolder = (folder: string | undefined): string => resolve(folder ?? process.env['WEFT_STATE_DIR'] ?? '.weft')
const stateFile = (folder: string): string => join(folder, 'mesh.json')

/** Writes the state so that a reader never sees half of it. */
export function writeMeshState(folder: string, state: MeshState): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const fresh = `${stateFile(folder)}.${process.pid}`
  writeFileSync(fresh, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
  renameSync(fresh, stateFile(folder))
}

export function removeMeshState(folder: string): void {
  rmSync(stateFile(folder), { force: true })
}

/** The mesh that runs from a state folder, or undefined: a file left by a supervisor that is gone counts as none. */
export function runningMesh(folder: string): MeshState | undefined {
  let text: string
  try {
    text = readFileSync(stateFile(folder), 'utf8')
  } catch {
    return undefined
  }
  const state = meshState.safeParse(parseJson(text)).data
  if (state === undefined || state.pidStartedAt === '' || processStartedAt(state.pid) !== state.pidStartedAt) return undefined
  return state
}

/** The mesh that runs from a state folder; the error says how to start one. */
export function requireMesh(folder: string): MeshState {
  const mesh = runningMesh(folder)
  if (mesh !== undefined) return mesh
  throw new WeftError('unavailable', `no mesh runs from ${folder}`, {
    hint: 'start one with weft up, or name the folder of one with --state-dir',
  })
}

/** When a process was started, as the kernel counts it; empty for a process that does not exist. */
export function processStartedAt(pid: number): string {
  const fields = statFields(pid)
  // A zombie has ended already: its parent has not looked yet.
  return fields[0] === 'Z' ? '' : (fields[19] ?? '')
}

/** CPU time that a process has used, all threads, in milliseconds; 0 for a process that does not exist. */
export function processCpuMs(pid: number): number {
  const fields = statFields(pid)
  // The kernel tells it in hundredths of a second.
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10
}

/** The fields of /proc/PID/stat after the name, which may hold spaces itself. */
function statFields(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
