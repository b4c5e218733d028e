import { Stats } from '../../observe/stats.ts'
import { invalid } from '../../plan/problems.ts'
import { Runtime } from '../../plan/runtime.ts'
import { SecretStore } from '../../plan/secret-store.ts'
import { ProcessState } from '../../shared/process-state.ts'
import { TokenBuckets } from '../../shared/token-buckets.ts'
import { TimerWheel } from '../../transport/timer-wheel.ts'
import type { ClusterHandle, WorkerServices } from '../../worker-services.ts'
import type { FilterContext } from './filter.ts'

/** What a filter is compiled with in tests; `clusters`: ports on loopback by name. */
export class FakeContext implements FilterContext {
  readonly path = 'test'
  readonly name = 'test'
  readonly statPrefix = 'http.test.'
  readonly stats = new Stats(null)
  readonly runtime = new Runtime()
  readonly direction = 'inbound'
  readonly secrets = new SecretStore()
  readonly services: WorkerServices

  constructor(clusters: Readonly<Record<string, number>> = {}) {
    const handle = (name: string, port: number): ClusterHandle => ({
      name,
      connectTimeoutMs: 1000,
      httpVersion: () => 11,
      membership: () => ({ total: 1, healthy: 1, degraded: 0 }),
      pickAddress: () => ({ host: '127.0.0.1', port, key: `127.0.0.1:${port}` }),
      tlsOptions: () => null,
      beginRequest: () => ({ connecting: () => {}, sent: () => {}, interim: () => {}, end: () => {} }),
    })
    this.services = {
      node: { id: 'node', cluster: 'local', metadata: {}, locality: { region: '', zone: '', subZone: '' } },
      timers: new TimerWheel(),
      processState: new ProcessState(),
      tokenBuckets: new TokenBuckets(64),
      cluster: (name) => {
        const port = clusters[name]
        return port === undefined ? undefined : handle(name, port)
      },
      log: () => {},
    }
  }

  fail(path: string, message: string, hint?: string): never {
    throw invalid(`${this.path}.${path}`, message, hint)
  }

  /** The value of a counter. */
  counter(name: string): number {
    return this.stats.counter(name).value
  }

  close(): void {
    this.services.timers.close()
  }
}
