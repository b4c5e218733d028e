import type { ConfigObject, RawObject } from '../objects.ts'
import type { Problem } from '../problem.ts'

/** An object that is in force, of whichever kind. */
export type Loaded = { type: 'object'; key: string; object: ConfigObject } | { type: 'raw'; key: string; object: RawObject }

/** All that a set of folders holds: what is in force, and what is wrong. Immutable. */
export interface LoadedConfig {
  /** By `kind/namespace/name`. A refused document leaves the last good version of its object here. */
  readonly objects: ReadonlyMap<string, Loaded>
  /** In order of file and line. */
  readonly problems: readonly Problem[]
}

/** One file as it was read last. */
export interface FileState {
  readonly path: string
  readonly identity: string
  readonly loaded: readonly Loaded[]
  readonly problems: readonly Problem[]
}

/**
 * Puts files together, earlier ones first: an object that two files define is taken from the first. Between folders
 * that is how a folder named earlier overrides a later one (a warning); within a folder it is a mistake (an error).
 */
export function mergeFiles(folders: readonly (readonly FileState[])[]): LoadedConfig {
  const objects = new Map<string, Loaded>()
  const folderOf = new Map<string, number>()
  const problems: Problem[] = []
  for (const [index, files] of folders.entries()) {
    for (const file of files) {
      problems.push(...file.problems)
      for (const loaded of file.loaded) {
        const first = objects.get(loaded.key)
        if (first === undefined) {
          objects.set(loaded.key, loaded)
          folderOf.set(loaded.key, index)
        } else {
          problems.push(duplicate(loaded, first, folderOf.get(loaded.key) === index))
        }
      }
    }
  }
  return { objects, problems }
}

function duplicate(second: Loaded, first: Loaded, sameFolder: boolean): Problem {
  const { document } = second.object
  const where = `${first.object.document.file}:${first.object.document.line}`
  return {
    severity: sameFolder ? 'error' : 'warning',
    message: sameFolder ? `${second.key} is defined already at ${where}` : `${second.key} is overridden by ${where}`,
    file: document.file,
    line: document.line,
    object: second.key,
    hint: sameFolder ? 'that one holds; remove one of them' : 'folders named earlier go first',
  }
}
