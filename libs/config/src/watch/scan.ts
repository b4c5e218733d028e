import type { Stats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Problem } from '../problem.ts'

/** A file as one scan saw it; `identity` changes when it is written, replaced or its link swapped. */
export interface SeenFile {
  path: string
  identity: string
  modifiedMs: number
  sizeBytes: number
}

export interface Scan {
  /** In order of path. */
  files: SeenFile[]
  /** Every folder, for watching; `identity` changes when another folder takes its place. */
  folders: { path: string; identity: string }[]
  problems: Problem[]
}

const maxFiles = 50_000
const maxDepth = 32

/** YAML and JSON files; hidden files and what editors leave behind are none. */
export function isConfigFile(name: string): boolean {
  return /\.(ya?ml|json)$/i.test(name) && !name.startsWith('.') && !name.startsWith('#')
}

/**
 * Lists the configuration files of a folder and all below, through symbolic links (each real folder once). A folder
 * that does not exist is empty.
 */
export async function scanFolder(root: string): Promise<Scan> {
  const scan: Scan = { files: [], folders: [], problems: [] }
  await descend(root, 0, new Set(), scan)
  scan.files.sort(byPath)
  return scan
}

async function descend(folder: string, depth: number, seen: Set<string>, scan: Scan): Promise<void> {
  const real = await realpath(folder).catch(() => undefined)
  const own = real === undefined ? undefined : await stat(real).catch(() => undefined)
  if (real === undefined || own === undefined || seen.has(real)) return
  seen.add(real)
  if (depth > maxDepth) {
    const message = `folders are nested deeper than ${maxDepth}: not read`
    scan.problems.push({ severity: 'error', message, file: folder, line: 1 })
    return
  }
  scan.folders.push({ path: folder, identity: `${own.dev}:${own.ino}` })
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    scan.problems.push({ severity: 'error', message: `folder cannot be read: ${text(error)}`, file: folder, line: 1 })
    return []
  })
  for (const entry of entries) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    const path = join(folder, entry.name)
    if (entry.isFile() ? !isConfigFile(entry.name) : !entry.isDirectory() && !entry.isSymbolicLink()) continue
    // What is gone by now is not there; a dangling link is none.
    const stats = entry.isDirectory() ? undefined : await stat(path).catch(() => undefined)
    if (entry.isDirectory() || stats?.isDirectory()) await descend(path, depth + 1, seen, scan)
    else if (stats?.isFile() && isConfigFile(entry.name)) addFile(path, stats, scan)
  }
}

/**
 * A scan brought up to date about some files alone; undefined when that cannot be said without looking at the folders
 * again. Of many thousand files it looks at these few.
 */
export async function rescanFiles(scan: Scan, paths: ReadonlySet<string>): Promise<Scan | undefined> {
  const folders = new Set(scan.folders.map(({ path }) => path))
  const own = [...paths].filter((path) => folders.has(dirname(path)))
  if (own.length === 0) return scan
  const fresh: Scan = { ...scan, files: scan.files.filter(({ path }) => !paths.has(path)), problems: [...scan.problems] }
  for (const path of own) {
    const stats = await stat(path).catch(() => undefined)
    if (stats?.isDirectory()) return undefined
    if (stats?.isFile()) addFile(path, stats, fresh)
  }
  fresh.files.sort(byPath)
  return fresh
}

function byPath(a: SeenFile, b: SeenFile): number {
  return a.path < b.path ? -1 : 1
}

function addFile(path: string, stats: Stats, scan: Scan): void {
  if (scan.files.length >= maxFiles) {
    if (scan.files.length === maxFiles && scan.problems.every(({ message }) => !message.startsWith('more than'))) {
      scan.problems.push({ severity: 'error', message: `more than ${maxFiles} files: the rest is not read`, file: path, line: 1 })
    }
    return
  }
  scan.files.push({
    path,
    identity: `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`,
    modifiedMs: stats.mtimeMs,
    sizeBytes: stats.size,
  })
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
