import { createHash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, realpath } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { type Adapter, templateNames } from '../adapter.ts'
import type { LoadedAdapter } from './catalogue.ts'

/** A file that could not become an adapter. */
interface AdapterFileProblem {
  readonly file: string
  readonly line: number | undefined
  readonly message: string
}

export interface AdapterFiles {
  /** The adapters in force, by name. */
  readonly adapters: ReadonlyMap<string, LoadedAdapter>
  readonly problems: readonly AdapterFileProblem[]
  /** Looks at the folder now; true when something changed. */
  refresh(): Promise<boolean>
  close(): void
}

export interface AdapterFilesOptions {
  dir: string
  logger: Logger
  /** Called after a change that was noticed. */
  onChange: () => void
}

const QUIET_MS = 50
const POLL_MS = 2_000

/** One file: what it last gave, and the content that it was given for. */
interface FileState {
  revision: string
  loaded: LoadedAdapter | undefined
  problem: AdapterFileProblem | undefined
}

/**
 * Loads the adapters that an operator keeps in a folder, one a file, and again when a file changes. A file that cannot be
 * loaded leaves the version of before in force.
 */
export async function watchAdapterFiles({ dir, logger, onChange }: AdapterFilesOptions): Promise<AdapterFiles> {
  const root = await realpath(dir).catch((cause: unknown) => {
    throw new WeftError('not_found', `the adapter folder ${dir} cannot be read: ${WeftError.from(cause).message}`, {
      hint: 'create it, or correct --adapter-dir',
      cause,
    })
  })
  resolveForAdapters(`${pathToFileURL(root).href}/`)
  const files = new Map<string, FileState>()
  let adapters = new Map<string, LoadedAdapter>()
  let work: Promise<unknown> = Promise.resolve()

  const load = async (): Promise<boolean> => {
    const names = (await readdir(root)).filter(isAdapterFile).sort()
    let changed = false
    for (const name of files.keys()) {
      if (names.includes(name)) continue
      files.delete(name)
      changed = true
    }
    for (const name of names) {
      const path = join(root, name)
      const text = await readFile(path).catch(() => undefined)
      if (text === undefined) continue
      const revision = createHash('sha256').update(text).digest('base64url').slice(0, 16)
      const before = files.get(name)
      if (before?.revision === revision) continue
      changed = true
      const loaded = await loadFile(path, revision)
      if ('adapter' in loaded) {
        logger.info({ file: path, adapter: loaded.adapter.name }, 'adapter loaded')
        files.set(name, { revision, loaded, problem: undefined })
      } else {
        logger.error(`${path}${loaded.line === undefined ? '' : `:${loaded.line}`}: ${loaded.message}`)
        files.set(name, { revision, loaded: before?.loaded, problem: loaded })
      }
    }
    if (changed) adapters = byName(files)
    return changed
  }
  const refresh = (): Promise<boolean> => {
    const run = work.then(load)
    work = run.catch(() => undefined)
    return run
  }
  await refresh()

  let pending: NodeJS.Timeout | undefined
  const look = (): void => {
    clearTimeout(pending)
    pending = setTimeout(() => {
      refresh().then(
        (changed) => changed && onChange(),
        (error: unknown) => logger.error({ err: error }, 'adapter folder cannot be read'),
      )
    }, QUIET_MS)
  }
  let watcher: FSWatcher | undefined
  try {
    watcher = watch(root, { persistent: false }, look)
    watcher.on('error', () => watcher?.close())
  } catch {
    // No events from there: the poll finds changes.
  }
  const poll = setInterval(look, POLL_MS)
  poll.unref()
  return {
    get adapters() {
      return adapters
    },
    get problems() {
      return [
        ...[...files.values()].flatMap(({ problem }) => (problem === undefined ? [] : [problem])),
        ...namesakes(root, files),
      ]
    },
    refresh,
    close() {
      clearTimeout(pending)
      clearInterval(poll)
      watcher?.close()
    },
  }
}

/** The adapters of all files; of two with one name, that of the first file. */
function byName(files: ReadonlyMap<string, FileState>): Map<string, LoadedAdapter> {
  const adapters = new Map<string, LoadedAdapter>()
  for (const [, { loaded }] of inOrder(files)) {
    if (loaded !== undefined && !adapters.has(loaded.adapter.name)) adapters.set(loaded.adapter.name, loaded)
  }
  return adapters
}

function namesakes(root: string, files: ReadonlyMap<string, FileState>): AdapterFileProblem[] {
  const firsts = new Map<string, string>()
  return inOrder(files).flatMap(([file, { loaded }]) => {
    if (loaded === undefined) return []
    const first = firsts.get(loaded.adapter.name)
    firsts.set(loaded.adapter.name, first ?? file)
    if (first === undefined) return []
    return [
      {
        file: join(root, file),
        line: undefined,
        message: `adapter '${loaded.adapter.name}' is in ${first} already, which holds`,
      },
    ]
  })
}

function inOrder(files: ReadonlyMap<string, FileState>): [string, FileState][] {
  return [...files].sort(([one], [other]) => (one < other ? -1 : 1))
}

function isAdapterFile(name: string): boolean {
  return /^[^.].*\.(ts|mts|js|mjs)$/.test(name) && !/\.(d|test)\.m?ts$/.test(name)
}

async function loadFile(path: string, revision: string): Promise<LoadedAdapter | AdapterFileProblem> {
  try {
    const module: unknown = await import(`${pathToFileURL(path).href}?${REVISION}=${revision}`)
    const made = typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined
    if (isAdapter(made)) return { adapter: made, revision }
    return { file: path, line: undefined, message: 'its default export is no adapter: export default adapter({ … })' }
  } catch (thrown) {
    return { file: path, line: lineIn(path, thrown), message: WeftError.from(thrown).message }
  }
}

function isAdapter(value: unknown): value is Adapter {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value.name) &&
    'templates' in value &&
    Array.isArray(value.templates) &&
    value.templates.every((name) => templateNames.some((known) => known === name)) &&
    'validate' in value &&
    typeof value.validate === 'function' &&
    'open' in value &&
    typeof value.open === 'function'
  )
}

/** Where in the file a loading error says it is. */
function lineIn(path: string, thrown: unknown): number | undefined {
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : ''
  const at = stack.indexOf(path)
  const match = at < 0 ? null : /^[^\s:]*?:(\d+)/.exec(stack.slice(at + path.length))
  return match?.[1] === undefined ? undefined : Number(match[1])
}

const REVISION = 'revision'
const ownUrl = import.meta.url
const resolvedRoots = new Set<string>()

/**
 * Lets files of a folder import `@weft/mixer/adapter` and what Mixer itself has (`zod`), wherever the folder lies, and
 * hands a file's revision down to the files beside it that it imports, so that they are read again with it.
 */
function resolveForAdapters(rootUrl: string): void {
  if (resolvedRoots.has(rootUrl)) return
  resolvedRoots.add(rootUrl)
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const parent = context.parentURL
      if (parent === undefined) return typed(nextResolve(specifier, context), rootUrl)
      if (!parent.startsWith(rootUrl)) return typed(nextResolve(specifier, context), rootUrl)
      if (specifier === '@weft/mixer/adapter') return { url: new URL('../adapter.ts', ownUrl).href, shortCircuit: true }
      if (/^\.{0,2}\//.test(specifier)) {
        const resolved = nextResolve(specifier, context)
        const revision = new URL(parent).searchParams.get(REVISION)
        const url =
          revision === null || !resolved.url.startsWith(rootUrl) ? resolved.url : `${resolved.url}?${REVISION}=${revision}`
        return typed({ ...resolved, url }, rootUrl)
      }
      try {
        return nextResolve(specifier, context)
      } catch {
        return nextResolve(specifier, { ...context, parentURL: ownUrl })
      }
    },
  })
}

/** Adapter files are modules, whatever the package file around them says, or when there is none. */
function typed<Resolved extends { url: string; format?: string | null | undefined }>(
  resolved: Resolved,
  rootUrl: string,
): Resolved {
  if (!resolved.url.startsWith(rootUrl)) return resolved
  return { ...resolved, format: /\.m?ts(\?|$)/.test(resolved.url) ? 'module-typescript' : 'module' }
}
