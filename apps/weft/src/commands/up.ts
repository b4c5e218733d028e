import { resolve } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { exitCodes } from '../exit-codes.ts'
import { untilStopped } from '../mesh/lifetime.ts'
import type { ManagedProcess } from '../mesh/managed-process.ts'
import { Mesh, notReady } from '../mesh/mesh.ts'
import { meshFiles } from '../mesh/processes.ts'
import { installation, installedPrograms } from '../mesh/programs.ts'
import { runningMesh, stateFolder } from '../mesh/state.ts'
import { seconds, timingsReport } from '../mesh/timings.ts'
import type { Terminal } from '../terminal.ts'

export interface UpOptions {
  stateDir?: string
  gatewayPort?: number
  mixerReplicas: number
  redis?: string
  concurrency: number
  adapterDir?: string
  timings: boolean
  fromSources: boolean
}

const defaultGatewayPort = 8080
const firstAnswerTimeoutMs = 15_000

/** `weft up [dir]`: runs a local mesh until it is told to stop. Gives the exit code. */
export async function up(folder: string | undefined, options: UpOptions, terminal: Terminal): Promise<number> {
  const stateDir = stateFolder(options.stateDir)
  const running = runningMesh(stateDir)
  if (running !== undefined) {
    throw new WeftError('already_exists', `a mesh runs from ${stateDir} already (pid ${running.pid})`, {
      hint: 'stop it with weft down, or start a second one with --state-dir DIR',
    })
  }
  const stopRequested = untilStopped()
  const mesh = await Mesh.prepare({
    folder: resolve(folder ?? `${installation}/apps/bookinfo/mesh`),
    stateFolder: stateDir,
    gatewayPort: options.gatewayPort ?? defaultGatewayPort,
    exactGatewayPort: options.gatewayPort !== undefined,
    mixerReplicas: options.mixerReplicas,
    redisUrl: options.redis,
    concurrency: options.concurrency,
    adapterFolder: options.adapterDir === undefined ? undefined : resolve(options.adapterDir),
    programs: installedPrograms(options.fromSources),
    events: tellProgress(terminal),
  })
  try {
    const code = await Promise.race([announce(mesh, stateDir, options, terminal), stopRequested])
    if (code === exitCodes.ok) await stopRequested
    return code ?? exitCodes.ok
  } finally {
    terminal.tell('stopping …')
    await mesh.stop()
    terminal.tell('stopped; no process is left')
  }
}

/** Starts the mesh, waits for it and says where it is; the exit code when it cannot work. */
async function announce(mesh: Mesh, stateDir: string, options: UpOptions, terminal: Terminal): Promise<number> {
  await mesh.start()
  const late = await mesh.awaitReady()
  for (const process of late) terminal.tell(terminal.style('red', `✗ ${notReady(process, meshFiles(stateDir)).describe()}`))
  if (late.some(({ spec }) => spec.kind === 'pilot' || spec.kind === 'gateway')) return exitCodes.failed
  const [url] = mesh.urls
  if (url === undefined) {
    terminal.tell(terminal.style('dim', 'no URL: no Gateway of the folder opens a port for plain HTTP'))
  } else if (!(await firstAnswer(url))) {
    terminal.tell(
      terminal.style('yellow', `! ${url} gives no answer yet; weft proxy-status and weft logs istio-ingressgateway tell why`),
    )
  }
  mesh.phases.end('first answer through the gateway')
  terminal.progress('')
  terminal.tell(
    terminal.style('bold', `mesh ready in ${seconds(performance.now())} s (127.${mesh.plan.octet}.0.0/16, state in ${stateDir})`),
  )
  for (const line of mesh.urls) terminal.print(line)
  if (options.timings) terminal.tell(`\n${timingsReport(mesh.phases, mesh.processes)}`)
  terminal.tell(terminal.style('dim', 'Ctrl-C stops everything'))
  return exitCodes.ok
}

async function firstAnswer(url: string): Promise<boolean> {
  const deadline = performance.now() + firstAnswerTimeoutMs
  while (performance.now() < deadline) {
    const status = await fetch(url, { signal: AbortSignal.timeout(5_000), redirect: 'manual' }).then(
      async (response) => {
        await response.arrayBuffer()
        return response.status
      },
      () => 0,
    )
    // Also a 404: that is what the gateway says where a route asks for more than a path.
    if (status > 0 && status < 500) return true
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return false
}

function tellProgress(terminal: Terminal): { changed(process: ManagedProcess): void; crashed: typeof crashed } {
  const crashed = (process: ManagedProcess, reason: string, lastLines: readonly string[]): void => {
    const said = lastLines.length > 0 ? `; it said: ${lastLines.at(-1)?.slice(0, 300)}` : ''
    terminal.tell(terminal.style('yellow', `! ${process.spec.name} ${reason}, starting it again${said}`))
  }
  const waiting = new Set<string>()
  return {
    changed(process) {
      const { spec, times, state } = process
      if (state === 'starting') waiting.add(spec.name)
      else waiting.delete(spec.name)
      if (state === 'ready' && times.readyAtMs !== undefined) {
        const again = process.restarts > 0 ? ` (start ${process.restarts + 1})` : ''
        terminal.tell(`${terminal.style('green', '✓')} ${spec.name.padEnd(24)} ${seconds(times.readyAtMs)} s${again}`)
      }
      if (waiting.size > 0) terminal.progress(`  waiting for ${[...waiting].join(', ')}`)
      else terminal.progress('')
    },
    crashed,
  }
}
