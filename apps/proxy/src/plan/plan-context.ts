import type { LogFiles } from '../observe/access-log/log-file.ts'
import type { Stats } from '../observe/stats.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { ExtensionStore } from './extension-store.ts'
import type { Runtime } from './runtime.ts'
import type { SecretStore } from './secret-store.ts'

/** What resources are compiled with. In the main thread, which only checks, `services` and `logFiles` are null. */
export interface PlanContext {
  readonly stats: Stats
  readonly runtime: Runtime
  readonly secrets: SecretStore
  readonly services: WorkerServices | null
  /** Configurations that come by extension discovery. */
  readonly extensions: ExtensionStore
  readonly logFiles: LogFiles | null
  readonly direction: 'unspecified' | 'inbound' | 'outbound'
  /** `listener.<address>.` of the listener that is being compiled; absent outside of listeners. */
  readonly listenerStatPrefix?: string
  /** Bytes of a body that the listener's connections keep; absent: the default. */
  readonly bufferLimit?: number
}
