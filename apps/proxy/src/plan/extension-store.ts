import { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import type { Any } from '@weft/contracts/google/protobuf/any'

/** The configurations of a worker that came by extension discovery (ECDS), by name; who uses one is told when it changes. */
export class ExtensionStore {
  private readonly configs = new Map<string, Any>()
  private readonly watchers = new Map<string, Set<(config: Any | null) => void>>()

  /** Takes a TypedExtensionConfig; null removes it. */
  set(name: string, bytes: Uint8Array | null): void {
    const config = bytes === null ? null : (TypedExtensionConfig.decode(bytes).typedConfig ?? null)
    if (config === null) this.configs.delete(name)
    else this.configs.set(name, config)
    for (const changed of this.watchers.get(name) ?? []) changed(config)
  }

  /** Gives the configuration as it is now (null: none) and tells of each change until it is closed. */
  watch(name: string, changed: (config: Any | null) => void): { now: Any | null; close(): void } {
    const watchers = this.watchers.get(name) ?? new Set()
    this.watchers.set(name, watchers)
    watchers.add(changed)
    return {
      now: this.configs.get(name) ?? null,
      close: () => {
        watchers.delete(changed)
        if (watchers.size === 0) this.watchers.delete(name)
      },
    }
  }
}
