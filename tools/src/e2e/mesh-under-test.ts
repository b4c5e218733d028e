import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, start, until } from '../processes.ts'

export const root = join(import.meta.dirname, '../../..')
const weftMain = join(root, 'apps/weft/src/main.ts')

/** Istio's own samples, beside the checkout where they are present. */
export const samples = join(root, '../shared/cases/samples/bookinfo/networking')

export interface Part {
  name: string
  kind: string
  state: string
  pid?: number
  restarts: number
  address: string
  admin?: string
  log: string
}

/** What `.weft/mesh.json` says; the part of it that tests read. */
export interface MeshJson {
  octet: number
  ready: boolean
  urls: string[]
  gatewayPorts: Record<string, number>
  pilot: { admin: string }
  citadel: { admin: string; grpc: string; operatorTokenFile: string; rootCertFile: string }
  mixers: { admin: string }[]
  parts: Part[]
}

export interface CommandResult {
  code: number
  output: string
}

/** A local mesh that a scenario started with `weft up`, in a state folder of its own. */
export class MeshUnderTest {
  readonly stateFolder: string
  readonly running: Running

  private constructor(stateFolder: string, running: Running) {
    this.stateFolder = stateFolder
    this.running = running
  }

  /** Starts `weft up` with these arguments and waits until it is ready. */
  static async start(args: readonly string[], timeoutMs = 300_000): Promise<MeshUnderTest> {
    const stateFolder = await mkdtemp(join(tmpdir(), 'weft-e2e-'))
    const running = start([process.execPath, weftMain, 'up', '--state-dir', stateFolder, ...args], { cwd: root })
    const mesh = new MeshUnderTest(stateFolder, running)
    try {
      await until(() => /mesh ready in/.test(running.output()), 'weft up to say that the mesh is ready', running, timeoutMs)
      return mesh
    } catch (error) {
      await mesh.stop()
      throw error
    }
  }

  state(): MeshJson {
    return JSON.parse(readFileSync(join(this.stateFolder, 'mesh.json'), 'utf8')) as MeshJson
  }

  part(name: string): Part {
    const part = this.state().parts.find((one) => one.name === name)
    if (part === undefined) throw new Error(`mesh.json has no part '${name}'`)
    return part
  }

  /** `http://127.0.0.1:<gateway port>`. */
  get gateway(): string {
    return new URL(this.state().urls[0] ?? '').origin
  }

  /** Where a workload's sidecar listens for a service: what the workload's program would call. */
  outbound(workload: string, host: string): string {
    const file = join(this.stateFolder, 'bootstraps', `${workload}-sidecar.json`)
    const { node } = JSON.parse(readFileSync(file, 'utf8')) as {
      node: { metadata: { LOOPBACK: { prefix: string; services: Record<string, number> } } }
    }
    const { prefix, services } = node.metadata.LOOPBACK
    return `${prefix}.${services[`${host}.default.svc.cluster.local`]}`
  }

  /** Runs the `weft` command against this mesh. */
  async weft(...args: string[]): Promise<CommandResult> {
    return weft([...args, '--state-dir', this.stateFolder])
  }

  /** Applies files; fails with what the command said. */
  async apply(...files: string[]): Promise<void> {
    const { code, output } = await this.weft('apply', '--wait', ...files.flatMap((file) => ['-f', file]))
    if (code !== 0) throw new Error(`weft apply ended with ${code}:\n${output}`)
  }

  async stop(): Promise<void> {
    await this.running.stop(30_000)
    await rm(this.stateFolder, { recursive: true, force: true })
  }
}

/** Runs the `weft` command to its end. */
export async function weft(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<CommandResult> {
  const running = start([process.execPath, weftMain, ...args], { cwd: root, env })
  const code = await new Promise<number>((resolve) => running.child.once('close', (status) => resolve(status ?? 1)))
  return { code, output: running.output().trimEnd() }
}
