import type { Client, ClientDuplexStream, Metadata, StatusObject } from '@grpc/grpc-js'
import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { WeftError } from '@weft/service/errors'
import { healthType, shortTypeName } from '../types.ts'
import { Backoff } from './backoff.ts'
import { delta } from './delta.ts'
import { discoveryMethod } from './methods.ts'
import type { XdsProtocol } from './protocol.ts'
import { sotw } from './sotw.ts'
import type { ResourceHandler, ResourceResponse, Subscription, TypeState } from './subscription.ts'

export interface XdsStreamOptions {
  variant: 'sotw' | 'delta'
  /** `aggregated` for ADS, or the one type that this stream serves. */
  service: 'aggregated' | string
  node: Node
  /** Sends the node with the first request of a connection only. */
  nodeOnFirstOnly?: boolean
  /**
   * Gives the gRPC client to open a connection's stream with, and its metadata; asked anew for each connection, so that
   * rotated certificates and tokens come into force. May wait (for a secret) or throw (then it is tried again later).
   */
  connect(): Promise<{ client: Client; metadata: Metadata }>
  log(level: 'debug' | 'info' | 'warn', message: string): void
  /** Told when a connection is opened, with what the server calls itself when it answers the first time, and when it is lost. */
  onConnected?(connected: boolean, controlPlane: string): void
  backoff?: Backoff
}

type Call = ClientDuplexStream<Buffer, Buffer>

/**
 * One xDS stream as a client: any number of types over one connection, each acknowledged apart; reconnects with
 * back-off and resumes with the versions it has; what was received stays in force whatever happens to the server.
 */
export class XdsStream {
  readonly #options: XdsStreamOptions
  readonly #protocol: XdsProtocol
  readonly #states = new Map<string, TypeState>()
  readonly #backoff: Backoff
  #call: Call | undefined
  /** What was told last. */
  #health: { readonly problem: string | undefined } | undefined
  #opening = false
  #sentNode = false
  #connected = false
  #answered = false
  #closed = false
  #timer: NodeJS.Timeout | undefined
  #work: Promise<void> = Promise.resolve()

  constructor(options: XdsStreamOptions) {
    this.#options = options
    this.#protocol = options.variant === 'delta' ? delta : sotw
    this.#backoff = options.backoff ?? new Backoff()
  }

  /** Asks for resources of a type, one subscription a type; the connection opens with the first. */
  subscribe(typeUrl: string, names: readonly string[] | 'all', handler: ResourceHandler): Subscription {
    if (this.#states.has(typeUrl)) throw new WeftError('already_exists', `already subscribed to ${typeUrl}`)
    const state: TypeState = {
      typeUrl,
      handler,
      names: names === 'all' ? 'all' : new Set(names),
      version: '',
      nonce: '',
      held: new Map(),
      told: null,
    }
    this.#states.set(typeUrl, state)
    if (this.#call !== undefined && asksSomething(state)) this.#send(this.#protocol.first(state, this.#node()))
    else this.#open()
    return {
      typeUrl,
      setNames: (next) => {
        const before = asksSomething(state)
        if (sameNames(state.names, next)) return
        state.names = next === 'all' ? 'all' : new Set(next)
        if (this.#call === undefined) return this.#open()
        if (!before && state.nonce === '' && state.told === null) {
          this.#send(this.#protocol.first(state, this.#node()))
          return
        }
        const request = this.#protocol.renamed(state, this.#node())
        if (request !== undefined) this.#send(request)
      },
    }
  }

  /** Drops the connection and opens a new one at once: after the client's certificate changed. */
  reconnect(reason: string): void {
    this.#options.log(this.#call === undefined ? 'debug' : 'info', `xDS stream reconnects: ${reason}`)
    this.#backoff.reset()
    this.#drop()
    this.#open()
  }

  /**
   * Tells how the client is, as Istio's agents do: why it takes no requests now, or with undefined that it does. Told again to each
   * server that the stream is opened to later.
   */
  reportHealth(problem: string | undefined): void {
    this.#health = { problem }
    if (this.#call === undefined) return
    const handler: ResourceHandler = { receive: async () => [] }
    const about: TypeState = { typeUrl: healthType, handler, names: 'all', version: '', nonce: '', held: new Map(), told: null }
    this.#send(this.#protocol.answer(about, { problems: problem === undefined ? [] : [problem] }, this.#node()))
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#drop()
  }

  #drop(): void {
    const call = this.#call
    this.#call = undefined
    call?.removeAllListeners('data')
    call?.cancel()
    if (this.#connected) {
      this.#connected = false
      this.#options.onConnected?.(false, '')
    }
  }

  /** Opens the connection unless there is one, one is being opened, or nothing is asked for. */
  #open(): void {
    if (this.#closed || this.#opening || this.#call !== undefined) return
    if (![...this.#states.values()].some(asksSomething)) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#opening = true
    this.#options
      .connect()
      .then(({ client, metadata }) => this.#start(client, metadata))
      .catch((error: unknown) => this.#lost(WeftError.from(error).describe()))
      .finally(() => {
        this.#opening = false
      })
  }

  #start(client: Client, metadata: Metadata): void {
    if (this.#closed) return
    const method = discoveryMethod(this.#options.variant, this.#options.service)
    if (method === undefined)
      throw new WeftError('invalid_argument', `there is no discovery service for ${this.#options.service}`)
    const asIs = (bytes: Buffer): Buffer => bytes
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(method, asIs, asIs, metadata)
    this.#call = call
    this.#sentNode = false
    this.#answered = false
    this.#connected = true
    this.#options.onConnected?.(true, '')
    call.on('data', (message: Buffer) => {
      call.pause()
      this.#work = this.#work
        .then(() => this.#receive(call, message))
        .catch((error: unknown) => this.#options.log('warn', `xDS response failed: ${WeftError.from(error).describe()}`))
        .finally(() => call.resume())
    })
    call.on('error', () => undefined)
    call.on('status', (status: StatusObject) => {
      if (this.#call !== call) return
      this.#call = undefined
      if (this.#connected) {
        this.#connected = false
        this.#options.onConnected?.(false, '')
      }
      this.#lost(status.details === '' ? `stream ended with gRPC status ${status.code}` : status.details)
    })
    for (const state of this.#states.values()) {
      state.nonce = ''
      state.told = null
      if (asksSomething(state)) this.#send(this.#protocol.first(state, this.#node()))
    }
    if (this.#health !== undefined) this.reportHealth(this.#health.problem)
  }

  #lost(reason: string): void {
    if (this.#closed) return
    for (const state of this.#states.values()) state.handler.disconnected?.(reason)
    const waitMs = this.#backoff.next()
    this.#options.log('warn', `xDS stream lost, again in ${waitMs} ms: ${reason}`)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#opening = false
      this.#open()
    }, waitMs)
  }

  async #receive(call: Call, message: Buffer): Promise<void> {
    if (this.#call !== call) return
    const response = this.#protocol.parse(message)
    this.#backoff.reset()
    if (!this.#answered) {
      this.#answered = true
      this.#options.onConnected?.(true, response.controlPlane)
    }
    const state = this.#states.get(response.typeUrl)
    if (state === undefined) {
      this.#options.log('warn', `xDS response of type ${response.typeUrl}, which was not asked for: dropped`)
      return
    }
    state.nonce = response.nonce
    let problems: string[]
    let version = ''
    let content: ResourceResponse | undefined
    try {
      content = response.read()
      version = content.version
      // What nobody asks for any more is not taken, and the version stays that of what was.
      if (this.#protocol.name === 'sotw' && !asksSomething(state)) {
        if (this.#call === call && content.resources.length > 0)
          this.#send(this.#protocol.answer(state, { problems: [] }, this.#node()))
        return
      }
      problems = await state.handler.receive(content)
      if (problems.length === 0) {
        if (content.whole) state.held.clear()
        for (const { name, version: held } of content.resources)
          if (state.names === 'all' || state.names.has(name)) state.held.set(name, held)
        for (const name of content.removed) state.held.delete(name)
        state.version = version
      }
    } catch (error) {
      const reason = WeftError.from(error).describe()
      problems = [reason]
      if (content === undefined) state.handler.unreadable?.(reason)
    }
    const short = shortTypeName(state.typeUrl)
    if (problems.length === 0) this.#options.log('debug', `${short} version '${version}' accepted`)
    else this.#options.log('warn', `${short} version '${version}' rejected: ${problems.join('; ')}`)
    if (this.#call === call && state.nonce === response.nonce)
      this.#send(this.#protocol.answer(state, { problems }, this.#node()))
  }

  #node(): Node | undefined {
    if (this.#sentNode && this.#options.nodeOnFirstOnly === true) return undefined
    this.#sentNode = true
    return this.#options.node
  }

  #send(message: Buffer): void {
    this.#call?.write(message)
  }
}

function asksSomething(state: TypeState): boolean {
  return state.names === 'all' || state.names.size > 0
}

function sameNames(before: ReadonlySet<string> | 'all', next: readonly string[] | 'all'): boolean {
  if (before === 'all' || next === 'all') return before === next
  return before.size === new Set(next).size && next.every((name) => before.has(name))
}
