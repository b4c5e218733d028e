import { randomUUID } from 'node:crypto'

/** What the stand-in holds, in the field names of github.com/hashicorp/nomad/api. Times in Nomad's API are nanoseconds. */
export interface Job {
  ID: string
  Name?: string
  Namespace?: string
  Type?: string
  Datacenters?: string[]
  TaskGroups: TaskGroup[]
}
export interface TaskGroup {
  Name: string
  Count?: number
  Networks?: { DynamicPorts?: Port[]; ReservedPorts?: Port[] }[] | null
  Services?: ServiceBlock[] | null
  Tasks: Task[]
}
interface Port {
  Label: string
  Value?: number
}
export interface ServiceBlock {
  Name: string
  PortLabel?: string
  Provider?: string
  Tags?: string[] | null
  Address?: string
  Checks?: Check[] | null
}
export interface Check {
  Name?: string
  Type?: string
  Path?: string
  /** Another port than the service's. */
  PortLabel?: string
  Interval?: number
  Timeout?: number
}
interface Task {
  Name: string
  Driver?: string
  Config?: { command?: string; args?: string[] }
  Env?: Record<string, string> | null
  Services?: ServiceBlock[] | null
  Identities?: Identity[] | null
  Lifecycle?: { Hook?: string; Sidecar?: boolean } | null
}
export interface Identity {
  Name: string
  Audience?: string[] | null
  Env?: boolean
  File?: boolean
  TTL?: number
}
export interface Allocation {
  ID: string
  Namespace: string
  Name: string
  NodeID: string
  NodeName: string
  JobID: string
  TaskGroup: string
  DesiredStatus: string
  ClientStatus: string
  TaskStates: Record<string, unknown>
  CreateIndex: number
  ModifyIndex: number
}
export interface Registration {
  ID: string
  ServiceName: string
  Namespace: string
  NodeID: string
  Datacenter: string
  JobID: string
  AllocID: string
  Tags: string[]
  Address: string
  Port: number
  CreateIndex: number
  ModifyIndex: number
}
export interface Node {
  ID: string
  Name: string
  Datacenter: string
  Status: string
  Meta: Record<string, string>
  CreateIndex: number
  ModifyIndex: number
}
export interface CheckStatus {
  ID: string
  Check: string
  Group: string
  Mode: 'healthiness'
  Output: string
  Service: string
  Task: string
  Status: 'success' | 'failure' | 'pending'
  StatusCode: number
  Timestamp: number
}
export interface Event {
  Topic: string
  Type: string
  Key: string
  Namespace: string
  FilterKeys: string[]
  Index: number
  Payload: Record<string, unknown>
}

/** Events that Nomad's servers keep (`event_buffer_size`). */
const bufferedEvents = 100

/** The tables of the stand-in, its one index, and the newest events: what a Nomad server has in memory. */
export class NomadState {
  index = 10
  /** Index of the newest change of registrations. */
  servicesIndex = 10
  readonly namespaces = new Map<string, { Name: string; Description: string; CreateIndex: number; ModifyIndex: number }>([
    ['default', { Name: 'default', Description: 'Default shared namespace', CreateIndex: 1, ModifyIndex: 1 }],
  ])
  /** By `namespace/id`. */
  readonly jobs = new Map<string, Job & { ModifyIndex: number; Version: number }>()
  readonly allocations = new Map<string, Allocation>()
  readonly registrations = new Map<string, Registration>()
  readonly nodes = new Map<string, Node>()
  /** By allocation, then by check. */
  readonly checks = new Map<string, Map<string, CheckStatus>>()
  events: Event[] = []
  readonly #waiters = new Set<() => void>()
  readonly #streams = new Set<(events: Event[]) => void>()

  constructor() {
    this.addNode('client-1', {})
  }

  addNode(name: string, meta: Record<string, string>): Node {
    const index = this.next()
    const node = {
      ID: randomUUID(),
      Name: name,
      Datacenter: 'dc1',
      Status: 'ready',
      Meta: meta,
      CreateIndex: index,
      ModifyIndex: index,
    }
    this.nodes.set(node.ID, node)
    this.emit('Node', 'NodeRegistration', node.ID, '', [], { Node: node })
    return node
  }

  next(): number {
    this.index += 1
    return this.index
  }

  putJob(job: Job): Job & { ModifyIndex: number } {
    const namespace = job.Namespace ?? 'default'
    const key = `${namespace}/${job.ID}`
    const stored = { ...job, Namespace: namespace, ModifyIndex: this.next(), Version: (this.jobs.get(key)?.Version ?? -1) + 1 }
    this.jobs.set(key, stored)
    this.emit('Job', 'JobRegistered', job.ID, namespace, [], { Job: stored })
    return stored
  }

  removeJob(namespace: string, id: string): void {
    const job = this.jobs.get(`${namespace}/${id}`)
    if (job === undefined) return
    this.next()
    this.jobs.delete(`${namespace}/${id}`)
    this.emit('Job', 'JobDeregistered', id, namespace, [], { Job: job })
  }

  register(registration: Omit<Registration, 'CreateIndex' | 'ModifyIndex'>): Registration {
    const index = this.next()
    const before = this.registrations.get(registration.ID)
    const stored = { ...registration, CreateIndex: before?.CreateIndex ?? index, ModifyIndex: index }
    this.registrations.set(stored.ID, stored)
    this.#serviceEvent('ServiceRegistration', stored)
    return stored
  }

  deregister(id: string): void {
    const registration = this.registrations.get(id)
    if (registration === undefined) return
    this.next()
    this.registrations.delete(id)
    this.#serviceEvent('ServiceDeregistration', registration)
  }

  #serviceEvent(type: string, registration: Registration): void {
    this.servicesIndex = this.index
    const { ID, JobID, ServiceName, Namespace } = registration
    this.emit('Service', type, ID, Namespace, [JobID, ServiceName], { Service: registration })
  }

  emit(
    topic: string,
    type: string,
    key: string,
    namespace: string,
    filterKeys: string[],
    payload: Record<string, unknown>,
  ): void {
    const event: Event = {
      ...{ Topic: topic, Type: type, Key: key, Namespace: namespace },
      ...{ FilterKeys: filterKeys, Index: this.index, Payload: payload },
    }
    this.events = [...this.events.slice(1 - bufferedEvents), event]
    for (const stream of this.#streams) stream([event])
    for (const wake of [...this.#waiters]) wake()
  }

  /** Calls `take` with events as they come; the returned function ends it. */
  follow(take: (events: Event[]) => void): () => void {
    this.#streams.add(take)
    return () => void this.#streams.delete(take)
  }

  /** Resolves when something changed, or after this time, or when the signal ends it. */
  async changed(waitMs: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, waitMs)
      this.#waiters.add(done)
      signal.addEventListener('abort', done)
    })
  }
}
