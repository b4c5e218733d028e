import type { RegisteredService, RegistryContents } from './registry.ts'

/** The contents of a registry that makes them out of many answers, told once for those that come together. */
export class Publisher {
  contents: RegistryContents = { services: [], workloads: [] }
  /** All answers of the beginning are in. */
  synced = false
  readonly #listeners = new Set<() => void>()
  #services: (() => readonly RegisteredService[]) | undefined
  #scheduled: NodeJS.Immediate | undefined

  /** Something may have changed. Nothing is shown before the first time that it `isWhole`. */
  publish(isWhole: boolean, services: () => readonly RegisteredService[]): void {
    if (!isWhole && !this.synced) return
    this.#services = services
    this.#scheduled ??= setImmediate(() => this.#tell())
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    this.#services = undefined
    this.#listeners.clear()
  }

  #tell(): void {
    this.#scheduled = undefined
    const next = this.#services?.()
    if (next === undefined) return
    const before = this.contents.services
    const same = next.length === before.length && next.every((service, index) => service === before[index])
    const first = !this.synced
    this.synced = true
    if (same && !first) return
    this.contents = { services: next, workloads: [] }
    for (const listener of this.#listeners) listener()
  }
}
