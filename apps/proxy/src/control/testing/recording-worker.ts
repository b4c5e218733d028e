import { EventEmitter } from 'node:events'
import type { FromWorker, ResourceUpdate, ToWorker } from '../../threads.ts'
import type { WorkerThread } from '../workers.ts'

/** A worker for tests: takes every update, remembers what is live, and says that it was applied. */
export class RecordingWorker extends EventEmitter implements WorkerThread {
  readonly live = new Map<string, ResourceUpdate>()
  readonly messages: ToWorker[] = []
  /** Order of what was published, as `kind/name`, with `-` before what was taken away. */
  readonly order: string[] = []
  /** Listeners whose opening fails, with the reason. */
  readonly refuse = new Map<string, string>()

  postMessage(message: ToWorker): void {
    this.messages.push(message)
    if (message.type === 'init') this.#tell({ type: 'ready' })
    if (message.type === 'stop') queueMicrotask(() => this.emit('exit', 0))
    if (message.type !== 'update') return
    const errors: Extract<FromWorker, { type: 'applied' }>['errors'] = []
    for (const resource of message.resources) {
      const key = `${resource.kind}/${resource.name}`
      const reason = this.refuse.get(key)
      if (resource.bytes === null) {
        this.live.delete(key)
        this.order.push(`-${key}`)
      } else if (reason !== undefined) errors.push({ kind: resource.kind, name: resource.name, message: reason })
      else {
        this.live.set(key, resource)
        this.order.push(key)
      }
    }
    this.#tell({ type: 'applied', generation: message.generation, errors, listening: [] })
  }

  async terminate(): Promise<number> {
    return 0
  }

  #tell(message: FromWorker): void {
    queueMicrotask(() => this.emit('message', message))
  }
}
