import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { NomadClient } from './client.ts'
import { WorkloadIdentities } from './identity.ts'
import { type Event, type Job, NomadState } from './state.ts'

/**
 * A stand-in for a Nomad agent: the part of its HTTP API that services, allocations, events, namespaces, ACLs and workload
 * identities need, as the types of the client library github.com/hashicorp/nomad/api and the public documentation fix it. No
 * scheduler: every job runs at once, here. The client library itself judges it (`judge/`).
 */
export class NomadStandIn {
  readonly state = new NomadState()
  readonly identities = new WorkloadIdentities()
  readonly client: NomadClient
  /** Bears all rights; undefined while there are no ACLs. */
  #management: { AccessorID: string; SecretID: string } | undefined
  /** Secrets of tokens that may read. */
  readonly #readers = new Set<string>()
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  constructor() {
    this.client = new NomadClient(this.state, this.identities, () => this.url)
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  /** Listens on loopback, on the port it had before, or this one (0: any that is free). */
  async start(port = this.#port): Promise<void> {
    const server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        if (!response.headersSent) fail(response, 500, String(error))
        else response.destroy()
      })
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    this.#port = address.port
    this.#server = server
  }

  /** Ends all connections and listens no longer; what it holds stays, but the events, which Nomad has in memory alone. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(server, 'close')
    this.state.events = []
  }

  /** Ends it with everything that it runs. */
  async close(): Promise<void> {
    await this.stop()
    await this.client.close()
  }

  /** From now on reads need this token, or the management token. */
  addReader(secret: string = randomUUID()): string {
    this.#management ??= newToken()
    this.#readers.add(secret)
    return secret
  }

  /** The token is gone; streams that it opened end. */
  removeReader(secret: string): void {
    this.#readers.delete(secret)
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Takes a job as `PUT /v1/jobs` does. */
  async run(job: Job): Promise<{ ModifyIndex: number }> {
    const namespace = job.Namespace ?? 'default'
    await this.client.stop(namespace, job.ID)
    const stored = this.state.putJob(job)
    await this.client.place(stored)
    return stored
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url)
    const path = url.pathname
    if (path === '/.well-known/jwks.json') return this.#send(response, this.identities.keySet())
    if (path === '/v1/status/leader') return this.#send(response, '127.0.0.1:4647')
    if (path === '/v1/acl/bootstrap') return this.#bootstrap(response)
    if (!this.#mayRead(request)) return fail(response, 403, 'Permission denied')
    if (request.method !== 'GET') {
      if (!this.#mayWrite(request)) return fail(response, 403, 'Permission denied')
      return await this.#write(request, response, url)
    }
    if (path === '/v1/event/stream') return this.#stream(request, response, url)
    const found = this.#find(path, url)
    if (found === undefined) return fail(response, 404, 'Invalid URL path: not found')
    await this.#read(request, response, url, found)
  }

  #bootstrap(response: ServerResponse): void {
    if (this.#management !== undefined) {
      fail(response, 400, `ACL bootstrap already done (reset index: ${this.state.index})`)
      return
    }
    this.#management = newToken()
    const index = this.state.next()
    this.#send(response, {
      ...this.#management,
      ...{ Name: 'Bootstrap Token', Type: 'management', Policies: null, Roles: null, Global: true },
      ...{ CreateTime: new Date().toISOString(), CreateIndex: index, ModifyIndex: index },
    })
  }

  #mayRead(request: IncomingMessage): boolean {
    return this.#mayWrite(request) || this.#readers.has(tokenOf(request))
  }

  #mayWrite(request: IncomingMessage): boolean {
    return this.#management === undefined || tokenOf(request) === this.#management.SecretID
  }

  /** What a path means: how to look it up, and the index of what it looks at; undefined for a path that there is not. */
  #find(path: string, url: URL): (() => { value: unknown; index: number } | undefined) | undefined {
    const { state } = this
    const asked = url.searchParams.get('namespace') ?? 'default'
    const inNamespace = ({ Namespace }: { Namespace: string }): boolean => asked === '*' || Namespace === asked
    const all = <T>(items: Iterable<T>, keep: (item: T) => boolean = () => true): T[] => [...items].filter(keep)
    const at = (value: unknown, index = state.index) => (value === undefined ? undefined : { value, index })
    const [, kind = '', id = '', part = ''] = /^\/v1\/([a-z]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? []
    const name = decodeURIComponent(id)
    if (path === '/v1/agent/self') {
      const member = { Name: 'stand-in.global', Addr: '127.0.0.1', Port: 4648, Status: 'alive', Tags: {} }
      return () => at({ config: {}, stats: {}, member })
    }
    const checks = /^\/v1\/client\/allocation\/([^/]+)\/checks$/.exec(path)?.[1]
    if (checks !== undefined) {
      return () => (state.allocations.has(checks) ? at(Object.fromEntries(state.checks.get(checks) ?? [])) : undefined)
    }
    switch (kind) {
      case 'namespaces':
        return () => at(all(state.namespaces.values()))
      case 'namespace':
        return () => at(state.namespaces.get(name))
      case 'nodes':
        return () => at(all(state.nodes.values()))
      case 'node':
        return () => at(state.nodes.get(name))
      case 'services':
        return () => at(listed(all(state.registrations.values(), inNamespace)), state.servicesIndex)
      case 'service':
        return () => {
          return at(
            all(state.registrations.values(), (one) => one.ServiceName === name && inNamespace(one)),
            state.servicesIndex,
          )
        }
      case 'jobs':
        return () => at(all(state.jobs.values(), (job) => inNamespace({ Namespace: job.Namespace ?? 'default' })))
      case 'job':
        if (part === 'allocations') {
          return () => at(all(state.allocations.values(), (one) => one.JobID === name && inNamespace(one)))
        }
        return () => at(state.jobs.get(`${asked}/${name}`))
      case 'allocations':
        return () => at(all(state.allocations.values(), inNamespace))
      case 'allocation':
        return () => at(withJob(state, name))
      default:
        return undefined
    }
  }

  /** Answers at once, or with `index` when there is something newer than that (or `wait` is over). */
  async #read(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    find: () => { value: unknown; index: number } | undefined,
  ): Promise<void> {
    const abort = new AbortController()
    request.on('close', () => abort.abort())
    const index = Number(url.searchParams.get('index') ?? 0)
    const deadlineMs = performance.now() + durationMs(url.searchParams.get('wait') ?? '5m')
    let found = find()
    while (index > 0 && found !== undefined && found.index <= index && !abort.signal.aborted && performance.now() < deadlineMs) {
      await this.state.changed(deadlineMs - performance.now(), abort.signal)
      found = find()
    }
    if (found === undefined) return fail(response, 404, 'not found')
    this.#send(response, found.value, found.index)
  }

  #stream(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const wanted = url.searchParams.getAll('topic').map((topic) => topic.split(':'))
    const namespace = url.searchParams.get('namespace') ?? 'default'
    const isWanted = (event: Event): boolean => {
      const isHere = namespace === '*' || event.Namespace === namespace || event.Namespace === ''
      const isTold = wanted.some(
        ([topic, key = '*']) =>
          (topic === '*' || topic === event.Topic) && (key === '*' || key === event.Key || event.FilterKeys.includes(key)),
      )
      return isHere && (isTold || wanted.length === 0)
    }
    const write = (events: readonly Event[]): void => {
      for (const event of events.filter(isWanted)) response.write(`${JSON.stringify({ Index: event.Index, Events: [event] })}\n`)
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{}\n')
    // What is older than the buffer is left out without a word, as Nomad documents it.
    const from = Number(url.searchParams.get('index') ?? 0)
    write(from === 0 ? [] : this.state.events.filter(({ Index }) => Index >= from))
    const stop = this.state.follow(write)
    const heartbeat = setInterval(() => response.write('{}\n'), 10_000)
    request.on('close', () => {
      stop()
      clearInterval(heartbeat)
    })
  }

  async #write(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { state } = this
    const path = url.pathname
    const namespace = url.searchParams.get('namespace') ?? 'default'
    if (path === '/v1/jobs') {
      const { Job: job } = (await bodyOf(request)) as { Job?: Job }
      if (job?.ID === undefined) return fail(response, 400, 'Job must be specified')
      const { ModifyIndex } = await this.run({ ...job, Namespace: job.Namespace ?? namespace })
      return this.#send(response, {
        EvalID: randomUUID(),
        EvalCreateIndex: ModifyIndex,
        JobModifyIndex: ModifyIndex,
        Warnings: '',
      })
    }
    const job = /^\/v1\/job\/([^/]+)$/.exec(path)?.[1]
    if (job !== undefined && request.method === 'DELETE') {
      await this.client.stop(namespace, decodeURIComponent(job))
      state.removeJob(namespace, decodeURIComponent(job))
      return this.#send(response, { EvalID: randomUUID(), EvalCreateIndex: state.index, JobModifyIndex: state.index })
    }
    const service = /^\/v1\/service\/([^/]+)\/([^/]+)$/.exec(path)?.[2]
    if (service !== undefined && request.method === 'DELETE') {
      state.deregister(decodeURIComponent(service))
      return this.#send(response, null)
    }
    if (path === '/v1/namespaces' || /^\/v1\/namespace(\/[^/]+)?$/.test(path)) {
      const { Name, Description = '' } = (await bodyOf(request)) as { Name: string; Description?: string }
      const index = state.next()
      state.namespaces.set(Name, { Name, Description, CreateIndex: index, ModifyIndex: index })
      return this.#send(response, null)
    }
    fail(response, 404, 'Invalid URL path: not found')
  }

  #send(response: ServerResponse, value: unknown, index = this.state.index): void {
    response.writeHead(200, {
      'content-type': 'application/json',
      'X-Nomad-Index': index,
      'X-Nomad-KnownLeader': 'true',
      'X-Nomad-LastContact': 0,
    })
    response.end(JSON.stringify(value))
  }
}

function newToken(): { AccessorID: string; SecretID: string } {
  return { AccessorID: randomUUID(), SecretID: randomUUID() }
}

function tokenOf(request: IncomingMessage): string {
  const header = request.headers['x-nomad-token'] ?? request.headers.authorization?.replace(/^Bearer /, '')
  return Array.isArray(header) ? (header[0] ?? '') : (header ?? '')
}

/** Errors are plain text. */
function fail(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' })
  response.end(message)
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text === '' ? {} : JSON.parse(text)
}

/** A Go duration of one unit: `5000ms`, `60s`, `5m`. */
function durationMs(text: string): number {
  const [, amount = '0', unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  return Number(amount) * (unit === 'ms' ? 1 : unit === 's' ? 1_000 : unit === 'm' ? 60_000 : 3_600_000)
}

/** `GET /v1/services`: names by namespace, with all tags of each. */
function listed(registrations: readonly { Namespace: string; ServiceName: string; Tags: string[] }[]): object[] {
  const namespaces = new Map<string, Map<string, Set<string>>>()
  for (const { Namespace, ServiceName, Tags } of registrations) {
    const services = namespaces.get(Namespace) ?? new Map<string, Set<string>>()
    namespaces.set(Namespace, services)
    const tags = services.get(ServiceName) ?? new Set()
    services.set(ServiceName, tags)
    for (const tag of Tags) tags.add(tag)
  }
  return [...namespaces].map(([Namespace, services]) => ({
    Namespace,
    Services: [...services].map(([ServiceName, tags]) => ({ ServiceName, Tags: [...tags] })),
  }))
}

function withJob(state: NomadState, id: string): object | undefined {
  const allocation = state.allocations.get(id)
  return allocation && { ...allocation, Job: state.jobs.get(`${allocation.Namespace}/${allocation.JobID}`) }
}
