import type { Stats } from 'node:fs'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FolderWatches, type WatchedFolder } from '@weft/config/watch/folder-watches'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import {
  type Credential,
  type CredentialPlace,
  type CredentialSource,
  credentialEntries,
  credentialKey,
  readCredential,
} from './credential.ts'

export interface FolderCredentialsOptions {
  /** Need not exist yet. */
  folder: string
  logger: Logger
  /** So long after a change it is looked at (default 100 ms: a certificate and its key are seldom written at once). */
  quietMs?: number
  /** Folders without events (some network mounts have none) are looked at this often (default 5 s). */
  pollMs?: number
}

/** Stands where an account's name would, for what all accounts of the namespace may have. No account can be called so. */
const sharedFolder = '@shared'
/** How a mounted secret is swapped: a link to the folder that holds its files. */
const swappedFolder = '..data'
const mostCredentials = 10_000
/** As Kubernetes limits a Secret. */
const largestFileBytes = 1 << 20

interface Found extends CredentialPlace {
  readonly path: string
}

/** What a folder held when it was looked at last. */
interface Seen {
  readonly identity: string
  /** The last that was whole. */
  readonly credential: Credential | undefined
  readonly problem: string | undefined
}

/**
 * The credentials of a folder, `NAMESPACE/ACCOUNT/NAME/` or `NAMESPACE/@shared/NAME/` with the files that a Secret has as entries.
 * Files may be replaced one by one or all at once by a link: the last whole credential of a place stays in force until another is
 * whole, or the files are gone.
 */
export class FolderCredentials implements CredentialSource {
  readonly #folder: string
  readonly #logger: Logger
  readonly #quietMs: number
  readonly #pollMs: number
  readonly #listeners = new Set<() => void>()
  readonly #watches = new FolderWatches(() => this.#lookAfter(this.#quietMs))
  #current: ReadonlyMap<string, Credential> = new Map()
  #seen: ReadonlyMap<string, Seen> = new Map()
  #next: { timer: NodeJS.Timeout; atMs: number } | undefined
  #look: Promise<void>
  #problem: string | undefined
  #closed = false

  private constructor({ folder, logger, quietMs = 100, pollMs = 5_000 }: FolderCredentialsOptions) {
    this.#folder = folder
    this.#logger = logger
    this.#quietMs = quietMs
    this.#pollMs = pollMs
    this.#look = this.#lookNow()
  }

  /** Resolves when what the folder holds is known. */
  static async open(options: FolderCredentialsOptions): Promise<FolderCredentials> {
    const opened = new FolderCredentials(options)
    await opened.#look
    return opened
  }

  get current(): ReadonlyMap<string, Credential> {
    return this.#current
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Whose a credential is, its place says. */
  async mayRead(): Promise<boolean> {
    return true
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#next?.timer)
    this.#watches.close()
    this.#listeners.clear()
    await this.#look
  }

  /** Looks again after a while, or before where that was due already. */
  #lookAfter(delayMs: number): void {
    const atMs = performance.now() + delayMs
    if (this.#closed || (this.#next !== undefined && this.#next.atMs <= atMs)) return
    clearTimeout(this.#next?.timer)
    const timer = setTimeout(() => {
      this.#next = undefined
      this.#look = this.#look.then(() => this.#lookNow())
    }, delayMs)
    this.#next = { timer: timer.unref(), atMs }
  }

  async #lookNow(): Promise<void> {
    if (this.#closed) return
    const startedMs = performance.now()
    const folders: WatchedFolder[] = []
    let problem: string | undefined
    try {
      const found = await this.#find(folders)
      // Watches come before the files are read: what changes in between is told.
      if (!this.#closed && this.#watches.follow(folders)) this.#lookAfter(this.#quietMs)
      await this.#take(found)
    } catch (thrown) {
      problem = WeftError.from(thrown).describe()
    }
    if (problem !== undefined && problem !== this.#problem) {
      this.#logger.error(`credentials of ${this.#folder}: the last ones stay in force: ${problem}`)
    }
    this.#problem = problem
    // For at most a fiftieth of the time.
    this.#lookAfter(Math.max(this.#pollMs, (performance.now() - startedMs) * 50))
  }

  async #find(folders: WatchedFolder[]): Promise<Found[]> {
    const found: Found[] = []
    for (const namespace of await list(this.#folder, folders)) {
      for (const account of await list(join(this.#folder, namespace), folders)) {
        const serviceAccount = account === sharedFolder ? undefined : account
        for (const name of await list(join(this.#folder, namespace, account), folders)) {
          const path = join(this.#folder, namespace, account, name)
          if (!(await watched(path, folders))) continue
          if (found.length === mostCredentials) {
            throw new WeftError('resource_exhausted', `more than ${mostCredentials} credentials`, { where: { file: path } })
          }
          found.push({ namespace, serviceAccount, name, path })
        }
      }
    }
    return found
  }

  async #take(found: readonly Found[]): Promise<void> {
    const seen = new Map<string, Seen>()
    const current = new Map<string, Credential>()
    for (const place of found) {
      const key = credentialKey(place.namespace, place.serviceAccount, place.name)
      const before = this.#seen.get(key)
      const now = await this.#read(place, before)
      seen.set(key, now)
      if (now.credential !== undefined) current.set(key, now.credential)
    }
    this.#seen = seen
    if (this.#closed || areSame(this.#current, current)) return
    this.#current = current
    for (const listener of this.#listeners) listener()
  }

  async #read(place: Found, before: Seen | undefined): Promise<Seen> {
    try {
      const { path, identity, files } = await entriesOf(place.path)
      if (before?.identity === identity) return before
      const texts = new Map<string, Buffer>()
      for (const name of files) texts.set(name, await readFile(join(path, name)))
      const credential = readCredential(place, (name) => texts.get(name))
      return { identity, credential, problem: undefined }
    } catch (thrown) {
      const problem = WeftError.from(thrown).describe()
      if (problem !== before?.problem) {
        const then = before?.credential === undefined ? '' : '; its last whole content stays in force'
        this.#logger.warn({ folder: place.path }, `${problem}${then}`)
      }
      return { identity: '', credential: before?.credential, problem }
    }
  }
}

/** The names in a folder, which is watched from now on; none where there is no folder. */
async function list(path: string, folders: WatchedFolder[]): Promise<string[]> {
  if (!(await watched(path, folders))) return []
  const names = await readdir(path).catch(isGone)
  return (names ?? []).filter((name) => !name.startsWith('.')).sort()
}

/** Whether it is a folder, which is watched then. */
async function watched(path: string, folders: WatchedFolder[]): Promise<boolean> {
  const own = await statOf(path)
  if (own?.isDirectory() !== true) return false
  folders.push({ path, identity: `${own.dev}:${own.ino}` })
  return true
}

/** The files of a credential, from the folder where they really are: what swaps a link meanwhile mixes no two versions. */
async function entriesOf(folder: string): Promise<{ path: string; identity: string; files: string[] }> {
  const path = (await realpath(join(folder, swappedFolder)).catch(isGone)) ?? (await realpath(folder))
  const files: string[] = []
  let identity = path
  for (const name of credentialEntries) {
    const own = await statOf(join(path, name))
    if (own?.isFile() !== true) continue
    if (own.size > largestFileBytes) {
      throw new WeftError('resource_exhausted', `a file of a credential has ${own.size} bytes`, {
        where: { file: join(folder, name) },
        hint: `at most ${largestFileBytes}`,
      })
    }
    identity += ` ${name}:${own.ino}:${own.size}:${own.mtimeMs}:${own.ctimeMs}`
    files.push(name)
  }
  return { path, identity, files }
}

async function statOf(path: string): Promise<Stats | undefined> {
  return await stat(path).catch(isGone)
}

/** What cannot be looked at is not gone. */
function isGone(thrown: NodeJS.ErrnoException): undefined {
  if (thrown.code !== 'ENOENT' && thrown.code !== 'ENOTDIR') throw thrown
}

function areSame(before: ReadonlyMap<string, Credential>, now: ReadonlyMap<string, Credential>): boolean {
  return before.size === now.size && [...now].every(([key, { version }]) => before.get(key)?.version === version)
}
