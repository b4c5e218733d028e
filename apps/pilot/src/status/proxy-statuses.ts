import type { Nack, ProxyStatus } from '@weft/config/pilot-api'
import type { Snapshot } from '../model/snapshot.ts'
import type { PushMetrics } from './push-metrics.ts'
import type { NodeRef, PushObserver, ResourceType } from './push-status.ts'

interface TypeState {
  /** The newest generation that was sent, or found to change nothing. */
  sent: number
  acked: number
  /** Generations of pushes that are on their way, by nonce. */
  pending: Map<string, number>
  error: string | undefined
}

interface Connection {
  node: NodeRef
  namespace: string
  version: string
  connectedAt: Date
  /** The same by the monotonic clock. */
  connectedAtMs: number
  types: Map<ResourceType, TypeState>
  nacks: Map<string, Nack>
}

/** Pushes without an answer that are remembered for one type of one proxy. */
const maxPending = 64
const maxNacks = 1_000

/** Where every proxy stands with every resource type, and what it refused. */
export class ProxyStatuses implements PushObserver {
  readonly #connections = new Map<string, Connection>()
  readonly #listeners = new Set<() => void>()
  readonly #nackListeners = new Set<(nack: Nack, generation: number) => void>()
  readonly #snapshot: () => Snapshot
  readonly #metrics: PushMetrics | undefined

  constructor(snapshot: () => Snapshot, metrics?: PushMetrics) {
    this.#snapshot = snapshot
    this.#metrics = metrics
  }

  connected(node: NodeRef, info: { namespace: string; version: string; isWeft: boolean }): void {
    const { namespace, version } = info
    this.#connections.set(node.connectionId, {
      node,
      namespace,
      version,
      connectedAt: new Date(),
      connectedAtMs: performance.now(),
      types: new Map(),
      nacks: new Map(),
    })
    this.#metrics?.connected(this.#connections.size)
  }

  disconnected(node: NodeRef): void {
    this.#connections.delete(node.connectionId)
    this.#metrics?.connected(this.#connections.size)
    this.#changed()
  }

  sent(node: NodeRef, type: ResourceType, generation: number, nonce: string): void {
    const state = this.#type(node, type)
    if (state === undefined) return
    this.#metrics?.pushed(type)
    state.sent = generation
    state.pending.set(nonce, generation)
    if (state.pending.size > maxPending) state.pending.delete(state.pending.keys().next().value!)
  }

  unchanged(node: NodeRef, type: ResourceType, generation: number): void {
    const state = this.#type(node, type)
    if (state === undefined) return
    // With an answer still on its way the proxy is where that leaves it, not yet here.
    if (state.pending.size > 0) {
      const last = [...state.pending.keys()].at(-1)!
      state.pending.set(last, generation)
    } else {
      state.acked = Math.max(state.acked, generation)
    }
    state.sent = Math.max(state.sent, generation)
    this.#changed()
  }

  acked(node: NodeRef, type: ResourceType, nonce: string): void {
    const state = this.#answered(node, type, nonce)
    if (state === undefined) return
    const { generation, of } = state
    of.error = undefined
    of.acked = Math.max(of.acked, generation)
    const connection = this.#connections.get(node.connectionId)
    for (const [key, nack] of connection?.nacks ?? []) if (nack.resourceType === type) connection?.nacks.delete(key)
    if (connection !== undefined) this.#metrics?.acked(generation, connection.connectedAtMs)
    this.#changed()
  }

  nacked(
    node: NodeRef,
    type: ResourceType,
    nonce: string,
    message: string,
    resources: readonly { name: string; objects: readonly string[] }[],
  ): void {
    const state = this.#answered(node, type, nonce)
    const connection = this.#connections.get(node.connectionId)
    if (state === undefined || connection === undefined) return
    state.of.error = message
    this.#metrics?.rejected(type)
    const { objects } = this.#snapshot()
    for (const { name, objects: keys } of resources.length > 0 ? resources : [{ name: '', objects: [] }]) {
      const nack: Nack = {
        node: node.nodeId,
        resourceType: type,
        resource: name,
        message,
        objects: namedFirst(keys, message).flatMap((key) => {
          const document = objects.get(key)?.document
          return document === undefined ? [] : [{ object: key, file: document.file, line: document.line }]
        }),
      }
      if (connection.nacks.size < maxNacks) connection.nacks.set(`${type} ${name}`, nack)
      for (const listener of this.#nackListeners) listener(nack, state.generation)
    }
    this.#changed()
  }

  list(): ProxyStatus[] {
    return [...this.#connections.values()].map(({ node, namespace, version, connectedAt, types, nacks }) => ({
      node: node.nodeId,
      namespace,
      version,
      connectedAt: connectedAt.toISOString(),
      types: Object.fromEntries([...types].map(([type, state]) => [type, describe(state)])),
      nacks: [...nacks.values()],
    }))
  }

  nacks(): Nack[] {
    return [...this.#connections.values()].flatMap(({ nacks }) => [...nacks.values()])
  }

  /** Nodes by how far they are with a generation: each type acknowledged or refused, or not yet. */
  progress(generation: number): { settled: string[]; refused: string[]; waiting: string[] } {
    const progress = { settled: [] as string[], refused: [] as string[], waiting: [] as string[] }
    for (const { node, types } of this.#connections.values()) {
      const states = [...types.values()]
      const answered = states.every(
        ({ sent, acked, error, pending }) =>
          sent >= generation && (acked >= generation || (error !== undefined && pending.size === 0)),
      )
      const list = !answered
        ? progress.waiting
        : states.some(({ acked }) => acked < generation)
          ? progress.refused
          : progress.settled
      list.push(node.nodeId)
    }
    return progress
  }

  /** Calls `listener` whenever an answer or a connection may have changed the progress. */
  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Calls `listener` with each refusal and the generation it answers. */
  onNack(listener: (nack: Nack, generation: number) => void): () => void {
    this.#nackListeners.add(listener)
    return () => void this.#nackListeners.delete(listener)
  }

  #type(node: NodeRef, type: ResourceType): TypeState | undefined {
    const connection = this.#connections.get(node.connectionId)
    if (connection === undefined) return undefined
    let state = connection.types.get(type)
    if (state === undefined) {
      state = { sent: 0, acked: 0, pending: new Map(), error: undefined }
      connection.types.set(type, state)
    }
    return state
  }

  /** The push that an answer is about; those sent before it are answered by it too. */
  #answered(node: NodeRef, type: ResourceType, nonce: string): { of: TypeState; generation: number } | undefined {
    const of = this.#connections.get(node.connectionId)?.types.get(type)
    const generation = of?.pending.get(nonce)
    if (of === undefined || generation === undefined) return undefined
    for (const [earlier] of of.pending) {
      of.pending.delete(earlier)
      if (earlier === nonce) break
    }
    return { of, generation }
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** Objects in their order, but for policies that the proxy's words name (`ns[…]-policy[…]`): those are to blame. */
function namedFirst(keys: readonly string[], message: string): string[] {
  const isNamed = (key: string): boolean => {
    const [, namespace, name] = key.split('/')
    return message.includes(`ns[${namespace}]-policy[${name}]`)
  }
  return [...keys.filter(isNamed), ...keys.filter((key) => !isNamed(key))]
}

function describe({ sent, acked, error }: TypeState): ProxyStatus['types'][string] {
  if (error !== undefined) return { state: 'ERROR', sent, acked, error }
  return { state: sent === 0 ? 'NOT SENT' : acked >= sent ? 'SYNCED' : 'STALE', sent, acked }
}
