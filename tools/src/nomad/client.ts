import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, type Running, start } from '../processes.ts'
import type { WorkloadIdentities } from './identity.ts'
import type { Allocation, Check, CheckStatus, Job, NomadState, ServiceBlock, TaskGroup } from './state.ts'

/** What runs of one allocation. */
interface RunningAllocation {
  processes: Running[]
  folder: string
  checks: NodeJS.Timeout[]
}

/** The stand-in's client: runs the tasks of allocations (driver `raw_exec`), registers their services, and checks them. */
export class NomadClient {
  readonly #state: NomadState
  readonly #identities: WorkloadIdentities
  readonly #issuer: () => string
  readonly #running = new Map<string, RunningAllocation>()

  constructor(state: NomadState, identities: WorkloadIdentities, issuer: () => string) {
    this.#state = state
    this.#identities = identities
    this.#issuer = issuer
  }

  /** Starts what a job asks for that does not run, and ends what it does not ask for; a changed group is started anew. */
  async place(job: Job): Promise<void> {
    const namespace = job.Namespace ?? 'default'
    for (const group of job.TaskGroups) {
      for (let number = 0; number < (group.Count ?? 1); number++) {
        await this.#start(job, namespace, group, number)
      }
    }
  }

  async stop(namespace: string, jobId: string): Promise<void> {
    for (const allocation of this.#state.allocations.values()) {
      if (allocation.JobID === jobId && allocation.Namespace === namespace) await this.#end(allocation)
    }
  }

  async close(): Promise<void> {
    for (const allocation of this.#state.allocations.values()) await this.#end(allocation)
  }

  async #start(job: Job, namespace: string, group: TaskGroup, number: number): Promise<void> {
    const state = this.#state
    const [node] = state.nodes.values()
    if (node === undefined) throw new Error('the stand-in has no node')
    const index = state.next()
    const allocation: Allocation = {
      ...{
        ID: randomUUID(),
        Namespace: namespace,
        Name: `${job.ID}.${group.Name}[${number}]`,
        NodeID: node.ID,
        NodeName: node.Name,
      },
      ...{ JobID: job.ID, TaskGroup: group.Name, DesiredStatus: 'run', ClientStatus: 'running', TaskStates: {} },
      ...{ CreateIndex: index, ModifyIndex: index },
    }
    state.allocations.set(allocation.ID, allocation)
    const ports = new Map<string, number>()
    for (const network of group.Networks ?? []) {
      for (const { Label, Value } of network.ReservedPorts ?? []) ports.set(Label, Value ?? (await freePort()))
      for (const { Label } of network.DynamicPorts ?? []) ports.set(Label, await freePort())
    }
    const folder = await mkdtemp(join(tmpdir(), 'nomad-alloc-'))
    const running: RunningAllocation = { processes: [], folder, checks: [] }
    this.#running.set(allocation.ID, running)
    for (const task of group.Tasks) await this.#startTask(allocation, job, task, ports, running)
    for (const service of [...(group.Services ?? []), ...group.Tasks.flatMap(({ Services }) => Services ?? [])]) {
      if (service.Provider === 'nomad') this.#registerService(allocation, group, service, ports, running)
    }
    state.emit('Allocation', 'AllocationUpdated', allocation.ID, namespace, [job.ID], { Allocation: allocation })
  }

  async #startTask(
    allocation: Allocation,
    job: Job,
    task: TaskGroup['Tasks'][number],
    ports: ReadonlyMap<string, number>,
    running: RunningAllocation,
  ): Promise<void> {
    const secrets = join(running.folder, task.Name, 'secrets')
    await mkdir(secrets, { recursive: true })
    const environment: Record<string, string> = {
      ...{ NOMAD_ALLOC_ID: allocation.ID, NOMAD_JOB_ID: job.ID, NOMAD_JOB_NAME: job.Name ?? job.ID, NOMAD_TASK_NAME: task.Name },
      ...{
        NOMAD_GROUP_NAME: allocation.TaskGroup,
        NOMAD_NAMESPACE: allocation.Namespace,
        NOMAD_DC: 'dc1',
        NOMAD_REGION: 'global',
      },
      ...{ NOMAD_SECRETS_DIR: secrets, NOMAD_ALLOC_DIR: running.folder },
    }
    for (const [label, port] of ports) {
      environment[`NOMAD_PORT_${label}`] = String(port)
      environment[`NOMAD_IP_${label}`] = '127.0.0.1'
      environment[`NOMAD_ADDR_${label}`] = `127.0.0.1:${port}`
    }
    for (const identity of task.Identities ?? []) {
      const token = this.#identities.sign(allocation, task.Name, identity, this.#issuer())
      if (identity.File) await writeFile(join(secrets, `nomad_${identity.Name}.jwt`), token, { mode: 0o600 })
      if (identity.Env) environment[`NOMAD_TOKEN_${identity.Name}`] = token
    }
    const { command, args = [] } = task.Config ?? {}
    if (task.Driver !== 'raw_exec' || command === undefined) return
    const filled = (text: string): string => text.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => environment[name] ?? whole)
    const env = { PATH: process.env['PATH'], HOME: running.folder, ...environment }
    for (const [name, value] of Object.entries(task.Env ?? {})) Object.assign(env, { [name]: filled(value) })
    running.processes.push(start([filled(command), ...args.map(filled)], { env, cwd: join(running.folder, task.Name) }))
  }

  #registerService(
    allocation: Allocation,
    group: TaskGroup,
    service: ServiceBlock,
    ports: ReadonlyMap<string, number>,
    running: RunningAllocation,
  ): void {
    const label = service.PortLabel ?? ''
    const port = ports.get(label) ?? Number(label)
    this.#state.register({
      ID: `_nomad-task-${allocation.ID}-group-${group.Name}-${service.Name}-${label}`,
      ServiceName: service.Name,
      Namespace: allocation.Namespace,
      NodeID: allocation.NodeID,
      Datacenter: 'dc1',
      JobID: allocation.JobID,
      AllocID: allocation.ID,
      Tags: service.Tags ?? [],
      Address: service.Address || '127.0.0.1',
      Port: port,
    })
    for (const check of service.Checks ?? []) {
      const at = ports.get(check.PortLabel ?? '') ?? port
      this.#check(allocation, group, service, check, at, running)
    }
  }

  /** Runs one check at its interval, as the client of Nomad does. */
  #check(
    allocation: Allocation,
    group: TaskGroup,
    service: ServiceBlock,
    check: Check,
    port: number,
    running: RunningAllocation,
  ): void {
    const id = `${allocation.ID}-${service.Name}-${check.Name ?? check.Type}`
    const statuses = this.#state.checks.get(allocation.ID) ?? new Map<string, CheckStatus>()
    this.#state.checks.set(allocation.ID, statuses)
    const put = (Status: CheckStatus['Status'], Output: string, StatusCode: number): void => {
      statuses.set(id, {
        ...{ ID: id, Check: check.Name ?? `service: "${service.Name}" check`, Group: `${allocation.Name}`, Mode: 'healthiness' },
        ...{ Output, Service: service.Name, Task: group.Tasks[0]?.Name ?? '', Status, StatusCode },
        Timestamp: Math.floor(Date.now() / 1_000),
      })
    }
    put('pending', 'nomad: waiting to run', 0)
    const timeoutMs = (check.Timeout ?? 1e9) / 1e6
    const run = async (): Promise<void> => {
      const { ok, output, code } =
        check.Type === 'http' ? await askHttp(port, check.Path ?? '/', timeoutMs) : await askTcp(port, timeoutMs)
      put(ok ? 'success' : 'failure', output, code)
    }
    void run()
    running.checks.push(setInterval(() => void run(), (check.Interval ?? 1e9) / 1e6))
  }

  async #end(allocation: Allocation): Promise<void> {
    if (allocation.DesiredStatus === 'stop') return
    const state = this.#state
    Object.assign(allocation, { DesiredStatus: 'stop', ClientStatus: 'complete', ModifyIndex: state.next() })
    for (const { ID, AllocID } of state.registrations.values()) if (AllocID === allocation.ID) state.deregister(ID)
    state.emit('Allocation', 'AllocationUpdated', allocation.ID, allocation.Namespace, [allocation.JobID], {
      Allocation: allocation,
    })
    state.checks.delete(allocation.ID)
    const running = this.#running.get(allocation.ID)
    this.#running.delete(allocation.ID)
    if (running === undefined) return
    for (const timer of running.checks) clearInterval(timer)
    await Promise.all(running.processes.map((process) => process.stop()))
    await rm(running.folder, { recursive: true, force: true })
  }
}

interface Asked {
  ok: boolean
  output: string
  code: number
}

async function askHttp(port: number, path: string, timeoutMs: number): Promise<Asked> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(timeoutMs) })
    await response.body?.cancel()
    return { ok: response.ok, output: `nomad: http status ${response.status}`, code: response.status }
  } catch (error) {
    return { ok: false, output: `nomad: ${String(error)}`, code: 0 }
  }
}

async function askTcp(port: number, timeoutMs: number): Promise<Asked> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (ok: boolean, output: string): void => {
      socket.destroy()
      resolve({ ok, output, code: 0 })
    }
    socket.setTimeout(timeoutMs, () => end(false, 'nomad: timed out'))
    socket.once('connect', () => end(true, 'nomad: tcp ok'))
    socket.once('error', (error) => end(false, `nomad: ${error.message}`))
  })
}
