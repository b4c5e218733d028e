import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { Document } from '@weft/config/document'
import type { Loaded } from '@weft/config/watch/loaded'
import { WeftError } from '@weft/service/errors'

/** One object to be written or taken away, and where it stands now, if anywhere. */
export interface Edit {
  key: string
  /** The document's new text; undefined takes it away. */
  text: string | undefined
  current: Loaded | undefined
}

/** A file's content before and after; undefined where there is none. */
interface FileChange {
  path: string
  before: string | undefined
  after: string | undefined
}

/**
 * Writes objects into a folder, all or nothing: a new one in a file of its own, one that stands in a file of the folder in
 * its place there. Each file is replaced by a rename, so that no reader sees half of one. Gives each object's file.
 */
export async function editObjects(folder: string, edits: readonly Edit[]): Promise<Map<string, string>> {
  await mkdir(folder, { recursive: true })
  const places = new Map<string, string>()
  const byFile = new Map<string, Edit[]>()
  for (const edit of edits) {
    const own = edit.current !== undefined && isBelow(folder, edit.current.object.document.file)
    const path = own && edit.current !== undefined ? edit.current.object.document.file : join(folder, fileName(edit.key))
    places.set(edit.key, path)
    byFile.set(path, [...(byFile.get(path) ?? []), edit])
  }
  const changes: FileChange[] = []
  for (const [path, group] of byFile) {
    const before = await readFile(path, 'utf8').catch(absent)
    changes.push({ path, before, after: editText(path, before, group) })
  }
  await replaceAll(changes)
  return places
}

/** Whether a file is in a folder, or deeper. */
export function isBelow(folder: string, file: string): boolean {
  const path = relative(folder, file)
  return path !== '' && !path.startsWith('..')
}

/** `virtualservice_default_reviews.yaml`: unique, as no part has an underscore. */
function fileName(key: string): string {
  return `${key.replaceAll('/', '_').toLowerCase()}.yaml`
}

/** The file's text with each edited document in its place, new ones at the end; undefined when nothing is left. */
function editText(path: string, before: string | undefined, edits: readonly Edit[]): string | undefined {
  let text = before ?? ''
  const inPlace = edits.filter(({ current }) => current?.object.document.file === path).sort((a, b) => startOf(b) - startOf(a))
  for (const { current, text: replacement } of inPlace) {
    if (current === undefined) continue
    const { range, text: expected } = current.object.document
    if (text.slice(range[0], range[1]) !== expected) throw changedMeanwhile(path, current.object.document)
    text = `${text.slice(0, range[0])}${replacement === undefined ? '' : withNewline(replacement)}${text.slice(range[1])}`
  }
  for (const edit of edits) {
    if (edit.text === undefined || inPlace.includes(edit)) continue
    text = text.trim() === '' ? withNewline(edit.text) : `${withNewline(text)}---\n${withNewline(edit.text)}`
  }
  return text.replaceAll(/^(---|\.\.\.).*$|^#.*$/gm, '').trim() === '' ? undefined : text
}

function startOf({ current }: Edit): number {
  return current?.object.document.range[0] ?? 0
}

function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}

function changedMeanwhile(path: string, document: Document): WeftError {
  return new WeftError('failed_precondition', 'the file was changed at the same time, or holds this object in a List', {
    where: { file: path, line: document.line },
    hint: 'apply again, or edit the file',
  })
}

/** Prepares all files first, then puts them in place; what was in place already is put back when one fails. */
async function replaceAll(changes: readonly FileChange[]): Promise<void> {
  const prepared = new Map<string, string>()
  const done: FileChange[] = []
  try {
    for (const { path, after } of changes) {
      if (after === undefined) continue
      const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
      prepared.set(path, temporary)
      await writeSynced(temporary, after)
    }
    for (const change of changes) {
      const temporary = prepared.get(change.path)
      if (temporary === undefined) await rm(change.path, { force: true })
      else await rename(temporary, change.path)
      prepared.delete(change.path)
      done.push(change)
    }
  } catch (thrown) {
    for (const { path, before } of done) {
      if (before === undefined) await rm(path, { force: true })
      else await writeSynced(path, before)
    }
    const { message } = WeftError.from(thrown)
    throw new WeftError('unavailable', `the configuration could not be written: ${message}`, {
      hint: 'nothing was applied; see that Pilot may write to its first --config-dir',
      cause: thrown,
    })
  } finally {
    for (const temporary of prepared.values()) await rm(temporary, { force: true })
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o644)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

function absent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}
