import { parentPort } from 'node:worker_threads'
import { collectGarbage } from '@weft/service/lean-memory'
import { LivePlan } from './live-plan.ts'
import { LogFiles } from './observe/access-log/log-file.ts'
import { Stats } from './observe/stats.ts'
import { Runtime } from './plan/runtime.ts'
import { limitPrograms } from './routing/matchers/regex.ts'
import { ProcessState } from './shared/process-state.ts'
import { TokenBuckets } from './shared/token-buckets.ts'
import type { FromWorker, ToWorker, WorkerInit } from './threads.ts'
import { TimerWheel } from './transport/timer-wheel.ts'
import { EndpointSlab } from './upstream/endpoint-slab.ts'
import type { WorkerServices } from './worker-services.ts'

/** A worker thread: takes configuration from the main thread as messages, and carries traffic. */
export class ProxyWorker {
  private readonly send: (message: FromWorker) => void
  private plan: LivePlan | null = null
  private readonly stats: Stats
  private readonly runtime = new Runtime()
  private readonly logFiles = new LogFiles()
  private readonly timers = new TimerWheel()
  private logLevel = 'info'
  /** Updates are applied one after the other, in the order they came. */
  private queue: Promise<void> = Promise.resolve()

  constructor(send: (message: FromWorker) => void) {
    this.send = send
    this.stats = new Stats(send)
  }

  handle(message: ToWorker): void {
    switch (message.type) {
      case 'init':
        this.init(message.init)
        return
      case 'update':
        this.queue = this.queue.then(async () => {
          const plan = this.plan
          if (plan === null) return
          const { errors, listening } = await plan.apply(message.resources)
          this.stats.flush()
          this.send({ type: 'applied', generation: message.generation, errors, listening })
        })
        return
      case 'runtime':
        this.runtime.replace(message.values)
        limitPrograms(message.values)
        return
      case 'drain':
        this.plan?.drain(message.listeners, message.inboundOnly)
        return
      case 'health-failure':
        this.plan?.cluster(message.cluster)?.onHealthFailure(message.endpoint)
        return
      case 'log-level':
        this.logLevel = message.level
        return
      case 'reopen-logs':
        this.logFiles.reopen()
        return
      case 'started':
        collectGarbage()
        return
      case 'stop':
        this.stop()
    }
  }

  private init(init: WorkerInit): void {
    this.logLevel = init.logLevel
    const { localCluster = '' } = init
    const services: WorkerServices = {
      node: init.node,
      timers: this.timers,
      processState: new ProcessState(init.processState),
      tokenBuckets: new TokenBuckets(init.tokenBuckets),
      workerIndex: init.index,
      ...(localCluster === '' ? {} : { localCluster, localZones: () => this.plan?.cluster(localCluster)?.zones() ?? null }),
      cluster: (name) => this.plan?.cluster(name),
      log: (level, message, fields = {}) => {
        if (wants(this.logLevel, level)) this.send({ type: 'log', level, message, fields })
      },
    }
    this.plan = new LivePlan({
      services,
      stats: this.stats,
      runtime: this.runtime,
      slab: new EndpointSlab(init.endpointSlab),
      logFiles: this.logFiles,
      drainTimeMs: init.drainTimeMs,
      ownsPipes: init.index === 0,
    })
    this.send({ type: 'ready' })
  }

  private stop(): void {
    this.plan?.close()
    // Sockets tell of their end when this turn is over, and are logged then.
    setTimeout(() => {
      this.logFiles.close()
      this.timers.close()
      parentPort?.close()
    })
  }
}

const levels = ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off']

function wants(threshold: string, level: string): boolean {
  return levels.indexOf(level) >= levels.indexOf(threshold)
}

if (parentPort !== null) {
  const port = parentPort
  const worker = new ProxyWorker((message) => port.postMessage(message))
  port.on('message', (message: ToWorker) => worker.handle(message))
}
