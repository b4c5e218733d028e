import { type FSWatcher, watch } from 'node:fs'

/** A folder by its path; `identity` changes when another folder takes its place. */
export interface WatchedFolder {
  readonly path: string
  readonly identity: string
}

/** Hears of what happens in a changing set of folders. Where the file system tells nothing, only looking again does. */
export class FolderWatches {
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #onEvent: (folder: string, name: string | null) => void

  constructor(onEvent: (folder: string, name: string | null) => void) {
    this.#onEvent = onEvent
  }

  /** Follows these folders from now on and no others; true when there are new ones, in which something may have been missed. */
  follow(folders: readonly WatchedFolder[]): boolean {
    const wanted = new Set<string>()
    let grew = false
    for (const { path, identity } of folders) {
      wanted.add(identity)
      if (this.#watchers.has(identity)) continue
      try {
        const watcher = watch(path, { persistent: false }, (_event, name) => this.#onEvent(path, name))
        watcher.on('error', () => this.#drop(identity))
        this.#watchers.set(identity, watcher)
        grew = true
      } catch {
        // No events from there: too many watches, or a file system without them.
      }
    }
    for (const identity of [...this.#watchers.keys()]) if (!wanted.has(identity)) this.#drop(identity)
    return grew
  }

  close(): void {
    for (const identity of [...this.#watchers.keys()]) this.#drop(identity)
  }

  #drop(identity: string): void {
    this.#watchers.get(identity)?.close()
    this.#watchers.delete(identity)
  }
}
