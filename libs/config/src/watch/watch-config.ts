import { dirname, join } from 'node:path'
import type { Problem } from '../problem.ts'
import { FolderWatches } from './folder-watches.ts'
import { type FileState, type LoadedConfig, mergeFiles } from './loaded.ts'
import { type Check, readConfigFile } from './read-file.ts'
import { isConfigFile, rescanFiles, type Scan, scanFolder } from './scan.ts'

export interface WatchOptions {
  /** Folders, recursive; one named earlier overrides a later one. They need not exist yet. */
  folders: readonly string[]
  /** Called after each change, never while an earlier call's promise is pending. */
  onChange: (config: LoadedConfig) => void | Promise<void>
  /** Takes what `onChange` throws in the background. */
  onError: (error: unknown) => void
  /** Further checks of single objects by whoever acts on their kinds. */
  check?: Check
  /** API groups to read, such as `config.istio.io`; documents of others are passed over. Default: all. */
  groups?: readonly string[]
  /** A file at rest for this long is read (default 20 ms). */
  quietMs?: number
  /** A folder without events (some network mounts have none) is looked at this often (default 5 s). */
  pollMs?: number
  /** A file that is suddenly empty is taken as being written for this long (default 300 ms), before its objects go. */
  emptyGraceMs?: number
}

export interface ConfigWatch {
  /** What is in force. */
  readonly current: LoadedConfig
  /**
   * Looks at the folders (or at these files alone) now, rather than when the file system tells; resolves when the result
   * is in force.
   */
  refresh(files?: readonly string[]): Promise<LoadedConfig>
  close(): Promise<void>
}

/**
 * Reads all configuration below some folders and watches them: `onChange` is called when what is in force, or what is
 * wrong, changes (not for the first state: that is `current`). Files may be replaced, half-written, linked or gone at
 * any time: the last good version of each object stays until a good one comes, or it is deleted.
 */
export async function watchConfig(options: WatchOptions): Promise<ConfigWatch> {
  const watched = new ConfigFolders(options)
  await watched.refresh()
  watched.start()
  return watched
}

class ConfigFolders implements ConfigWatch {
  current: LoadedConfig = { objects: new Map(), problems: [] }
  readonly #options: WatchOptions
  readonly #quietMs: number
  readonly #emptyGraceMs: number
  readonly #files = new Map<string, FileState>()
  readonly #watches = new FolderWatches((folder, name) => this.#event(folder, name))
  #scans: readonly Scan[] | undefined
  /** Files that events named; `all` when something else may have changed. */
  #dirty: Set<string> | 'all' = new Set()
  #rescan: NodeJS.Timeout | undefined
  #firstEventMs: number | undefined
  #poll: NodeJS.Timeout | undefined
  #work: Promise<unknown> = Promise.resolve()
  #started = false
  #closed = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#quietMs = options.quietMs ?? 20
    this.#emptyGraceMs = options.emptyGraceMs ?? 300
  }

  start(): void {
    this.#started = true
    this.#pollAfter(this.#options.pollMs ?? 5_000)
  }

  /** Looks at everything after a while, again and again, for at most a fiftieth of the time. */
  #pollAfter(delayMs: number): void {
    this.#poll = setTimeout(async () => {
      const startedMs = performance.now()
      await this.refresh().catch(this.#options.onError)
      const tookMs = performance.now() - startedMs
      if (!this.#closed) this.#pollAfter(Math.max(this.#options.pollMs ?? 5_000, tookMs * 50))
    }, delayMs)
    this.#poll.unref()
  }

  refresh(files?: readonly string[]): Promise<LoadedConfig> {
    return this.#run(files === undefined ? 'all' : new Set(files))
  }

  #run(dirty: ReadonlySet<string> | 'all'): Promise<LoadedConfig> {
    const run = this.#work.then(() => this.#load(dirty))
    this.#work = run.catch(() => undefined)
    return run
  }

  #event(folder: string, name: string | null): void {
    // Hidden files are not read; `..data` is how a mounted ConfigMap is swapped.
    if (name !== null && /^\.[^.]|~$/.test(name)) return
    if (name === null || !isConfigFile(name)) this.#dirty = 'all'
    else if (this.#dirty !== 'all') this.#dirty.add(join(folder, name))
    this.#schedule(this.#quietMs)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#rescan)
    clearTimeout(this.#poll)
    this.#watches.close()
    await this.#work
  }

  /** Waits for quiet, but under a storm of events no longer than ten times that. */
  #schedule(delayMs: number): void {
    if (this.#closed) return
    const now = performance.now()
    this.#firstEventMs ??= now
    const left = Math.max(0, this.#firstEventMs + this.#quietMs * 10 - now)
    clearTimeout(this.#rescan)
    this.#rescan = setTimeout(
      () => {
        this.#firstEventMs = undefined
        const dirty = this.#dirty
        this.#dirty = new Set()
        this.#run(dirty).catch(this.#options.onError)
      },
      Math.min(delayMs, left),
    )
  }

  async #load(dirty: ReadonlySet<string> | 'all'): Promise<LoadedConfig> {
    if (this.#closed) return this.current
    const scans = await this.#scan(dirty)
    this.#scans = scans
    // Watches come before the files are read: what changes in between is told.
    const grew = this.#watches.follow(scans.flatMap((scan) => scan.folders)) && this.#started
    const folders: FileState[][] = []
    const problems: Problem[] = []
    const present = new Set<string>()
    let changed = !this.#started
    for (const scan of scans) {
      problems.push(...scan.problems)
      const files: FileState[] = []
      for (const seen of scan.files) {
        if (present.has(seen.path)) continue
        present.add(seen.path)
        const before = this.#files.get(seen.path)
        if (before?.identity === seen.identity) {
          files.push(before)
          continue
        }
        // The file time has fractions of a millisecond, the clock has none: what was written just now is 0 ms old, not less.
        const ageMs = Math.ceil(Date.now() + 1 - seen.modifiedMs)
        if (
          before !== undefined &&
          seen.sizeBytes === 0 &&
          before.loaded.length > 0 &&
          ageMs >= 0 &&
          ageMs < this.#emptyGraceMs
        ) {
          files.push(before)
          this.#touch(seen.path, this.#emptyGraceMs - ageMs)
          continue
        }
        const state = await readConfigFile(seen, before, this.#options)
        this.#files.set(seen.path, state)
        files.push(state)
        changed = true
      }
      folders.push(files)
    }
    for (const path of this.#files.keys()) {
      if (present.has(path)) continue
      this.#files.delete(path)
      changed = true
    }
    const merged = mergeFiles(folders)
    const next: LoadedConfig = { objects: merged.objects, problems: [...problems, ...merged.problems] }
    if (grew) {
      this.#dirty = 'all'
      this.#schedule(this.#quietMs)
    }
    if (!changed && next.problems.length === this.current.problems.length) return this.current
    this.current = next
    if (this.#started) await this.#options.onChange(next)
    return next
  }

  async #scan(dirty: ReadonlySet<string> | 'all'): Promise<readonly Scan[]> {
    const folders = new Set(this.#scans?.flatMap((scan) => scan.folders.map(({ path }) => path)))
    if (dirty !== 'all' && this.#scans !== undefined && [...dirty].every((path) => folders.has(dirname(path)))) {
      const updated = await Promise.all(this.#scans.map((scan) => rescanFiles(scan, dirty)))
      const whole = updated.filter((scan) => scan !== undefined)
      if (whole.length === updated.length) return whole
    }
    return await Promise.all(this.#options.folders.map(scanFolder))
  }

  /** Looks at one file again after a while. */
  #touch(path: string, delayMs: number): void {
    if (this.#dirty !== 'all') this.#dirty.add(path)
    this.#schedule(delayMs)
  }
}
