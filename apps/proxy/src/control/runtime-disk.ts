import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { entryOfText, type RuntimeEntries, type RuntimeEntry } from './runtime-entries.ts'

/** How deep folders may lie: a link to a folder above would go on for ever. */
const deepest = 16

/**
 * A folder's files, each a value whose key is its path with dots. Lines that begin with `#` are comments; white space at the end
 * is not part of the value. Throws WeftError (or what the system says) when a part of it cannot be read.
 */
export function readRuntimeFolder(root: string): RuntimeEntries {
  const entries = new Map<string, RuntimeEntry>()
  const visit = (folder: string, prefix: string, depth: number): void => {
    if (depth > deepest)
      throw new WeftError('invalid_argument', `folders lie more than ${deepest} deep`, { where: { file: folder } })
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      const stat = statSync(path)
      if (stat.isDirectory()) visit(path, `${prefix}${name}.`, depth + 1)
      else if (stat.isFile()) entries.set(prefix + name, entryOfText(valueIn(readFileSync(path, 'utf8'))))
    }
  }
  visit(root, '', 1)
  return entries
}

/** Whether there is such a folder. */
export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function valueIn(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .trimEnd()
}
