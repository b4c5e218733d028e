import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { mintJoinTokens } from '../clients/citadel.ts'
import { citadelHost, identityOf, mixerHost, pilotHost, ports, systemNamespace } from './addresses.ts'
import { type MeshFolder, readMeshFolder } from './folder.ts'
import { generatedConfig, meshConfig } from './generated.ts'
import { ManagedProcess, type ProcessEvents, type ProcessSpec } from './managed-process.ts'
import { claimOctet, claimPort, type PortClaim } from './octet.ts'
import { type MeshPlan, planMesh } from './plan.ts'
import {
  applicationProcess,
  bootstrapFile,
  citadelProcess,
  gatewayBootstrap,
  type MeshFiles,
  meshFiles,
  mixerProcess,
  type ProcessContext,
  pilotProcess,
  proxyProcess,
  sidecarBootstrap,
  tokenFile,
} from './processes.ts'
import type { Programs } from './programs.ts'
import { type MeshState, type PartState, processStartedAt, removeMeshState, writeMeshState } from './state.ts'
import { Phases } from './timings.ts'
import { tokenRefreshMs, tokenTtlSeconds, writeSecretFile } from './tokens.ts'
import { Watchdog } from './watchdog.ts'

export interface MeshOptions {
  folder: string
  stateFolder: string
  /** Wanted port of the gateway; the next free one is taken unless `exactGatewayPort`. */
  gatewayPort: number
  exactGatewayPort: boolean
  mixerReplicas: number
  redisUrl: string | undefined
  concurrency: number
  /** Mixer adapters of the user's own; default: `adapters` in the state folder. */
  adapterFolder: string | undefined
  programs: Programs | Promise<Programs>
  events: ProcessEvents
}

const readyTimeoutMs = 30_000

/** A local mesh: its processes, started in order, kept running, and stopped in the reverse order. */
export class Mesh {
  readonly phases: Phases
  readonly plan: MeshPlan
  /** Port on 127.0.0.1 by the port that a Gateway names. */
  readonly gatewayPorts: Readonly<Record<string, number>>
  /** The one of these that the folder's first Gateway port got. */
  readonly #gatewayPort: number
  /** Where to look at the mesh: the paths its VirtualServices take from the gateway. None where no Gateway speaks plain HTTP. */
  readonly urls: readonly string[]
  readonly #options: MeshOptions
  /** Addresses and ports that no other mesh may take. */
  readonly #claims: readonly Claim[]
  readonly #files: MeshFiles
  readonly #context: ProcessContext
  readonly #watchdog: Watchdog
  readonly #meshId = `local-${randomBytes(4).toString('hex')}`
  readonly #parts: { process: ManagedProcess; describe: Pick<PartState, 'address' | 'admin' | 'identity'> }[] = []
  #ready = false
  #stopped: Promise<void> | undefined
  #refresh: NodeJS.Timeout | undefined
  #stateTimer: NodeJS.Timeout | undefined

  private constructor(
    options: MeshOptions,
    phases: Phases,
    claims: readonly Claim[],
    plan: MeshPlan,
    gateway: GatewayPorts,
    urls: readonly string[],
    programs: Programs,
  ) {
    this.#options = options
    this.phases = phases
    this.#claims = claims
    this.plan = plan
    this.gatewayPorts = gateway.all
    this.#gatewayPort = gateway.first
    this.urls = urls
    this.#files = meshFiles(options.stateFolder)
    this.#watchdog = new Watchdog()
    this.#context = {
      octet: plan.octet,
      folder: options.folder,
      files: this.#files,
      programs,
      redisUrl: options.redisUrl,
      concurrency: options.concurrency,
      adapterFolder: options.adapterFolder ?? this.#files.adapters,
    }
  }

  /** Reads the folder, claims addresses and ports, and writes what the processes read. Starts nothing yet. */
  static async prepare(options: MeshOptions): Promise<Mesh> {
    const phases = new Phases()
    phases.end('load the command')
    const programs = Promise.resolve(options.programs)
    // It is awaited later: until then its failure must not count as unheard.
    programs.catch(() => {})
    const folder = await readMeshFolder(options.folder)
    const octet = await claimOctet()
    const claims: Claim[] = [octet]
    try {
      const plan = planMesh(folder, octet.octet)
      const gateway = await chooseGatewayPorts(folder.gatewayPorts, options.gatewayPort, options.exactGatewayPort, claims)
      phases.end('read the folder, claim addresses')
      const mesh = new Mesh(options, phases, claims, plan, gateway, urlsOf(folder, gateway.all), await programs)
      mesh.#writeConfiguration()
      phases.end('find or make bundles')
      return mesh
    } catch (error) {
      await releaseAll(claims)
      throw error
    }
  }

  /** Starts Citadel, then everything else at once. Resolves when all is started; `awaitReady` tells when it is ready. */
  async start(): Promise<void> {
    const { octet } = this.plan
    const host = citadelHost(octet)
    const citadel = this.#start(citadelProcess(this.#context), {
      address: `${host}:${ports.citadel}`,
      admin: `${host}:${ports.admin}`,
      identity: identityOf(systemNamespace, 'citadel'),
    })
    if (!(await citadel.ready(readyTimeoutMs))) throw notReady(citadel, this.#files)
    this.phases.end('Citadel ready')
    await this.#writeTokens()
    this.#refresh = setInterval(() => void this.#writeTokens().catch(() => {}), tokenRefreshMs)
    this.phases.end('join tokens')
    this.#startControlPlane()
    this.#startProxies()
    this.#startApplications()
    this.phases.end('all processes started')
  }

  get processes(): readonly ManagedProcess[] {
    return this.#parts.map((part) => part.process)
  }

  /** Waits until every process is ready; gives those that are not in time. */
  async awaitReady(timeoutMs = readyTimeoutMs): Promise<ManagedProcess[]> {
    const answers = await Promise.all(this.processes.map((process) => process.ready(timeoutMs)))
    this.phases.end('all processes ready')
    this.#ready = true
    this.#saveState()
    return this.processes.filter((_, index) => answers[index] === false)
  }

  /** Stops everything in order: gateway, sidecars and applications, Mixer, Pilot, Citadel. Safe to call again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll()
    return this.#stopped
  }

  async #stopAll(): Promise<void> {
    clearInterval(this.#refresh)
    const order = [['gateway'], ['sidecar', 'application'], ['mixer', 'pilot'], ['citadel']]
    for (const kinds of order) {
      await Promise.all(this.processes.filter(({ spec }) => kinds.includes(spec.kind)).map((process) => process.stop()))
    }
    await this.#watchdog.close()
    await releaseAll(this.#claims)
    clearTimeout(this.#stateTimer)
    removeMeshState(this.#files.state)
  }

  #writeConfiguration(): void {
    const { files } = this.#context
    // What was applied lives as long as the mesh it was applied to.
    rmSync(files.applied, { recursive: true, force: true })
    for (const folder of [
      files.state,
      files.logs,
      files.generated,
      files.applied,
      files.tokens,
      files.bootstraps,
      files.adapters,
      files.credentials,
    ]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
    }
    writeFileSync(join(files.generated, 'workloads.yaml'), generatedConfig(this.plan, this.#options.mixerReplicas))
    writeFileSync(files.meshConfig, meshConfig())
  }

  #startControlPlane(): void {
    const { octet } = this.plan
    const host = pilotHost(octet)
    this.#start(pilotProcess(this.#context), {
      address: `${host}:${ports.pilot}`,
      admin: `${host}:${ports.admin}`,
      identity: identityOf(systemNamespace, 'pilot'),
    })
    for (let replica = 0; replica < this.#options.mixerReplicas; replica++) {
      const mixer = mixerHost(octet, replica)
      this.#start(mixerProcess(this.#context, replica), {
        address: `${mixer}:${ports.mixer}`,
        admin: `${mixer}:${ports.admin}`,
        identity: identityOf(systemNamespace, 'mixer'),
      })
    }
  }

  #startProxies(): void {
    const { gateway, instances } = this.plan
    const admin = (address: string): string => `${address}:${ports.proxyAdmin}`
    this.#start(proxyProcess(this.#context, gateway.name, 'gateway', gateway.address), {
      address: `127.0.0.1:${this.#gatewayPort}`,
      admin: admin(gateway.address),
      identity: gateway.identity,
    })
    for (const instance of instances) {
      this.#start(proxyProcess(this.#context, sidecarName(instance.name), 'sidecar', instance.sidecarAddress), {
        address: instance.sidecarAddress,
        admin: admin(instance.sidecarAddress),
        identity: instance.identity,
      })
    }
  }

  #startApplications(): void {
    for (const instance of this.plan.instances) {
      this.#start(applicationProcess(this.#context, instance), {
        address: `${instance.applicationAddress}:${instance.readiness.port}`,
      })
    }
  }

  /** Mints a join token for each identity, and writes the files that hold them: token files and bootstraps. */
  async #writeTokens(): Promise<void> {
    const { gateway, instances, services, octet } = this.plan
    const system = { pilot: identityOf(systemNamespace, 'pilot'), mixer: identityOf(systemNamespace, 'mixer') }
    const identities = [...new Set([...Object.values(system), gateway.identity, ...instances.map(({ identity }) => identity)])]
    const admin = `${citadelHost(octet)}:${ports.admin}`
    const requests = identities.map((identity) => ({ identity, ttlSeconds: tokenTtlSeconds }))
    const tokens = await mintJoinTokens(admin, this.#files.operatorToken, requests)
    const tokenOf = (identity: string): string => tokens[identities.indexOf(identity)] ?? ''
    for (const [name, identity] of Object.entries(system)) writeSecretFile(tokenFile(this.#files, name), tokenOf(identity))
    const common = {
      pilot: { host: pilotHost(octet), port: ports.pilot },
      citadel: { host: citadelHost(octet), port: ports.citadel },
      meshId: this.#meshId,
      rootCertFile: this.#files.rootCert,
    }
    const write = (name: string, bootstrap: Record<string, unknown>): void =>
      writeSecretFile(bootstrapFile(this.#files, name), `${JSON.stringify(bootstrap, null, 2)}\n`)
    write(gateway.name, gatewayBootstrap(gateway, this.gatewayPorts, { ...common, joinToken: tokenOf(gateway.identity) }))
    for (const instance of instances) {
      const joinToken = tokenOf(instance.identity)
      write(sidecarName(instance.name), sidecarBootstrap(instance, services, { ...common, joinToken }))
    }
  }

  #start(spec: ProcessSpec, describe: Pick<PartState, 'address' | 'admin' | 'identity'>): ManagedProcess {
    const process = new ManagedProcess(spec, this.#watchdog, {
      ...this.#options.events,
      changed: (changed) => {
        this.#saveStateSoon()
        this.#options.events.changed?.(changed)
      },
    })
    this.#parts.push({ process, describe })
    if (this.#stopped === undefined) process.start()
    return process
  }

  /** Many processes change at once: the state is written when it has settled for a moment. */
  #saveStateSoon(): void {
    this.#stateTimer ??= setTimeout(() => {
      this.#stateTimer = undefined
      if (this.#stopped === undefined) this.#saveState()
    }, 100)
  }

  #saveState(): void {
    writeMeshState(this.#files.state, this.state())
  }

  /** The mesh as `.weft/mesh.json` tells it. */
  state(): MeshState {
    const { octet } = this.plan
    const at = (host: string, port: number): { admin: string; grpc: string } => ({
      admin: `${host}:${ports.admin}`,
      grpc: `${host}:${port}`,
    })
    return {
      version: 1,
      pid: process.pid,
      pidStartedAt: processStartedAt(process.pid),
      octet,
      folder: this.#options.folder,
      ready: this.#ready,
      urls: [...this.urls],
      gatewayPorts: { ...this.gatewayPorts },
      pilot: at(pilotHost(octet), ports.pilot),
      citadel: {
        ...at(citadelHost(octet), ports.citadel),
        operatorTokenFile: this.#files.operatorToken,
        rootCertFile: this.#files.rootCert,
      },
      mixers: Array.from({ length: this.#options.mixerReplicas }, (_, replica) => at(mixerHost(octet, replica), ports.mixer)),
      parts: this.#parts.map(({ process, describe }) => ({
        ...describe,
        name: process.spec.name,
        kind: process.spec.kind,
        state: process.state,
        restarts: process.restarts,
        log: process.spec.logFile,
        ...(process.pid !== undefined && {
          pid: process.pid,
          startedAt: Math.round(performance.timeOrigin + process.times.spawnedAtMs),
        }),
      })),
    }
  }
}

const sidecarName = (instance: string): string => `${instance}-sidecar`

/** Why a process is not ready, with the last thing it said. */
export function notReady(process: ManagedProcess, files: Pick<MeshFiles, 'logs'>): WeftError {
  const { name, logFile } = process.spec
  return new WeftError('unavailable', `${name} did not become ready: ${lastWords(logFile) || 'it said nothing'}`, {
    where: { file: logFile },
    hint: `read it with weft logs ${name} (all logs are in ${files.logs})`,
  })
}

function lastWords(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1)?.slice(-400) ?? ''
  } catch {
    return ''
  }
}

interface GatewayPorts {
  /** Where the folder's first Gateway port is bound. */
  first: number
  all: Record<string, number>
}

function urlsOf({ httpPort, paths }: MeshFolder, gatewayPorts: Readonly<Record<string, number>>): string[] {
  if (httpPort === undefined) return []
  const shown = paths.length > 0 ? paths : ['/']
  return [...new Set(shown)].map((path) => `http://127.0.0.1:${gatewayPorts[httpPort]}${path}`)
}

/** The port that each Gateway port gets on 127.0.0.1: the folder's first one the wanted port, the others near their number. */
async function chooseGatewayPorts(
  declared: readonly number[],
  wanted: number,
  exact: boolean,
  claims: Claim[],
): Promise<GatewayPorts> {
  const order = [...new Set([...declared, 8080, 80, 443, 8443, 15443, 31400])]
  const all: Record<string, number> = {}
  let first = wanted
  for (const [position, port] of order.entries()) {
    const start = position === 0 ? wanted : port < 1024 ? port + 10_000 : port
    const claim: PortClaim = await claimPort('127.0.0.1', start)
    claims.push(claim)
    if (position === 0) first = claim.port
    if (position === 0 && exact && claim.port !== wanted) {
      throw new WeftError('already_exists', `port ${wanted} of 127.0.0.1 is in use`, { hint: 'name another with --gateway-port' })
    }
    all[port] = claim.port
  }
  return { first, all }
}

interface Claim {
  release(): Promise<void>
}

async function releaseAll(claims: readonly Claim[]): Promise<void> {
  await Promise.all(claims.map((claim) => claim.release()))
}
