import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createLogger } from '@weft/service/logger'
import { createRegistry } from '@weft/service/metrics'
import type { MeshSettings } from '../model/mesh-settings.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Snapshots } from '../model/snapshots.ts'
import { Registration } from '../registration/registration.ts'
import { createDiscovery } from '../serve/discovery.ts'
import { ProxyStatuses } from '../status/proxy-statuses.ts'
import { snapshotsOf } from './snapshot-of.ts'

export interface TestPilot {
  readonly port: number
  readonly snapshots: Snapshots
  readonly statuses: ProxyStatuses
  /** Replaces the configuration. */
  set(yaml: string): Snapshot
  close(): Promise<void>
}

/** For tests: Pilot's output half on a free port of loopback, fed with YAML. */
export async function startPilot(
  yaml: string,
  options: { mesh?: MeshSettings; allowUnauthenticated?: boolean } = {},
): Promise<TestPilot> {
  const { snapshots, set } = snapshotsOf(yaml, options.mesh)
  const statuses = new ProxyStatuses(() => snapshots.current)
  const closers: (() => void | Promise<void>)[] = []
  const logger = createLogger('pilot', 'silent')
  const { services } = createDiscovery({
    snapshots,
    observer: statuses,
    logger,
    metrics: createRegistry('pilot', 'test'),
    lifecycle: { signal: new AbortController().signal, onStop: (_name, close) => void closers.push(close), stop: async () => {} },
    allowUnauthenticated: options.allowUnauthenticated ?? true,
    registration: new Registration({ objects: () => snapshots.current.objects, write: async () => undefined, logger }),
    credentials: undefined,
  })
  const server = new Server()
  for (const { definition, implementation } of services) server.addService(definition, implementation)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  return {
    port,
    snapshots,
    statuses,
    set,
    close: async () => {
      for (const close of closers) await close()
      server.forceShutdown()
    },
  }
}
