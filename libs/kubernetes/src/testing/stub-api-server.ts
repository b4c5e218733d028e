import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

interface Stored {
  metadata: { name: string; namespace?: string; resourceVersion?: string; [field: string]: unknown }
  [field: string]: unknown
}

interface Change {
  version: number
  collection: string
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  object: Stored
}

interface Watch {
  collection: string
  namespace: string | undefined
  response: ServerResponse
}

/**
 * For tests on machines without a real one: as much of an API server's list, watch and write protocol as this library uses,
 * in memory. What it does was seen at a real kube-apiserver, and the same tests run against that where it is present.
 */
export class StubApiServer {
  /** Whether it knows lists that are streamed. */
  streams = true
  /** Says which requests are answered with a status instead. */
  refuse: ((headers: IncomingHttpHeaders) => number | undefined) | undefined
  /** `GET /api/v1/services?…` of each request that came. */
  readonly requests: string[] = []
  /** The Authorization header of the last request. */
  authorization: string | undefined
  readonly #objects = new Map<string, Map<string, Stored>>()
  #history: Change[] = []
  #version = 100
  #compacted = 0
  readonly #watches = new Set<Watch>()
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  static async start(): Promise<StubApiServer> {
    const server = new StubApiServer()
    await server.start()
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Begins to listen, at the port it had before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response))
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.#port, '127.0.0.1', resolve))
    const address = server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
    this.#server = server
  }

  /** Is gone, with all its connections; its objects stay. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    this.cut()
    await closed
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#watches.clear()
  }

  /** Forgets all changes so far: older versions are gone. */
  compact(): void {
    this.#history = []
    this.#compacted = this.#version
  }

  /** Sends this line to every watch, as it is. */
  sendLine(line: string): void {
    for (const { response } of this.#watches) response.write(`${line}\n`)
  }

  /** Sends a bookmark to every watch. */
  bookmark(): void {
    this.sendLine(JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(this.#version) } } }))
  }

  /** Ends every watch, as a server does when its time is over. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end()
    this.#watches.clear()
  }

  get watches(): number {
    return this.#watches.size
  }

  /** Makes or replaces an object of `/api/v1/services` or the like. */
  put(collection: string, object: Stored): Stored {
    const objects = this.#objects.get(collection) ?? new Map<string, Stored>()
    this.#objects.set(collection, objects)
    const key = keyOf(object)
    const type = objects.has(key) ? 'MODIFIED' : 'ADDED'
    return this.#changed({ collection, type, object }, objects, key)
  }

  remove(collection: string, namespace: string | undefined, name: string): boolean {
    const objects = this.#objects.get(collection)
    const key = namespace === undefined ? name : `${namespace}/${name}`
    const object = objects?.get(key)
    if (objects === undefined || object === undefined) return false
    this.#changed({ collection, type: 'DELETED', object }, objects, key)
    objects.delete(key)
    return true
  }

  get(collection: string, namespace: string | undefined, name: string): Stored | undefined {
    return this.#objects.get(collection)?.get(namespace === undefined ? name : `${namespace}/${name}`)
  }

  #changed({ collection, type, object }: Omit<Change, 'version'>, objects: Map<string, Stored>, key: string): Stored {
    const version = ++this.#version
    const stored: Stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
    objects.set(key, stored)
    this.#history.push({ version, collection, type, object: stored })
    for (const watch of this.#watches) send(watch, { version, collection, type, object: stored })
    return stored
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method} ${request.url}`)
    this.authorization = request.headers.authorization
    const url = new URL(request.url ?? '/', this.url)
    const refusal = this.refuse?.(request.headers)
    if (refusal !== undefined) return answer(response, refusal, status(refusal, 'refused by the test'))
    const place = placeOf(url.pathname)
    if (place === undefined) return answer(response, 404, status(404, 'the server could not find the requested resource'))
    if (request.method === 'GET' && place.name === undefined) {
      if (url.searchParams.get('watch') === 'true') return this.#watch(url.searchParams, place, response)
      return this.#list(url.searchParams, place, response)
    }
    const { collection, namespace, name = '' } = place
    const current = this.get(collection, namespace, name)
    if (request.method === 'GET') {
      return current === undefined ? answer(response, 404, status(404, `"${name}" not found`)) : answer(response, 200, current)
    }
    if (request.method === 'DELETE') {
      return answer(response, this.remove(collection, namespace, name) ? 200 : 404, {})
    }
    const body = await readObject(request)
    if (request.method === 'POST') {
      if (this.get(collection, namespace, body.metadata.name) !== undefined)
        return answer(response, 409, status(409, 'already exists'))
      return answer(response, 201, this.put(collection, body))
    }
    if (current === undefined) return answer(response, 404, status(404, `"${name}" not found`))
    const given = body.metadata?.resourceVersion
    if (given !== undefined && given !== current.metadata.resourceVersion) return answer(response, 409, status(409, 'conflict'))
    const next = request.method === 'PATCH' ? merged(current, body) : place.below === 'status' ? { ...current, ...body } : body
    answer(
      response,
      200,
      this.put(collection, { ...next, metadata: { ...next.metadata, name, ...(namespace && { namespace }) } }),
    )
  }

  #list(query: URLSearchParams, { collection, namespace }: Place, response: ServerResponse): void {
    const [version = this.#version, from = 0] = (query.get('continue') ?? '').split(':').filter(Boolean).map(Number)
    if (version < this.#compacted) {
      answer(response, 410, status(410, 'The provided continue parameter is too old'))
      return
    }
    const all = this.#select(collection, namespace)
    const limit = Number(query.get('limit') ?? 0) || all.length
    const more = from + limit < all.length ? `${version}:${from + limit}` : ''
    answer(response, 200, {
      kind: 'List',
      metadata: { resourceVersion: String(version), continue: more },
      items: all.slice(from, from + limit),
    })
  }

  #watch(query: URLSearchParams, { collection, namespace }: Place, response: ServerResponse): void {
    const initial = query.get('sendInitialEvents') === 'true'
    if (initial && !this.streams) {
      answer(response, 422, status(422, 'sendInitialEvents: Forbidden'))
      return
    }
    const watch: Watch = { collection, namespace, response }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    response.on('close', () => this.#watches.delete(watch))
    if (initial) {
      for (const object of this.#select(collection, namespace)) write(response, { type: 'ADDED', object })
      const metadata = { resourceVersion: String(this.#version), annotations: { 'k8s.io/initial-events-end': 'true' } }
      write(response, { type: 'BOOKMARK', object: { metadata } })
    } else {
      const from = Number(query.get('resourceVersion'))
      if (from < this.#compacted) {
        write(response, { type: 'ERROR', object: status(410, `too old resource version: ${from} (${this.#compacted})`) })
        return void response.end()
      }
      for (const change of this.#history) if (change.version > from) send(watch, change)
    }
    this.#watches.add(watch)
  }

  #select(collection: string, namespace: string | undefined): Stored[] {
    const objects = [...(this.#objects.get(collection)?.values() ?? [])]
    return objects.filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
  }
}

interface Place {
  collection: string
  namespace: string | undefined
  name: string | undefined
  below: string | undefined
}

function placeOf(path: string): Place | undefined {
  const match = /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path)
  const [, base = '', namespace, plural = '', name, below] = match ?? []
  return match === null ? undefined : { collection: `${base}/${plural}`, namespace, name, below }
}

function keyOf({ metadata: { namespace, name } }: Stored): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function status(code: number, message: string): object {
  return { kind: 'Status', status: 'Failure', code, message }
}

function answer(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function write(response: ServerResponse, event: object): void {
  response.write(`${JSON.stringify(event)}\n`)
}

function send({ collection, namespace, response }: Watch, change: Change): void {
  if (change.collection !== collection) return
  if (namespace !== undefined && change.object.metadata.namespace !== namespace) return
  write(response, { type: change.type, object: change.object })
}

/** JSON Merge Patch (RFC 7396): null takes a field away. */
function merged(target: Stored, patch: Stored): Stored {
  return mergedValue({ ...target }, { ...patch }) as Stored
}

function mergedValue(target: Record<string, unknown>, patch: Record<string, unknown>): Record<string, unknown> {
  const result = { ...target }
  for (const [key, value] of Object.entries(patch)) {
    const before = result[key]
    if (value === null) delete result[key]
    else if (!isRecord(value)) result[key] = value
    else result[key] = mergedValue(isRecord(before) ? before : {}, value)
  }
  return result
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function readObject(request: IncomingMessage): Promise<Stored> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Stored
}
