import { readFile } from 'node:fs/promises'
import { type Document, maxTextBytes, readDocuments } from '../document.ts'
import type { Problem } from '../problem.ts'
import { readHead } from '../read-head.ts'
import type { Reading } from '../reading.ts'
import type { FileState, Loaded } from './loaded.ts'
import type { SeenFile } from './scan.ts'

/** A further check of an object by whoever acts on its kind; an error refuses it. */
export type Check = (loaded: Loaded) => readonly Problem[]

export interface ReadOptions {
  /** Further checks of single objects by whoever acts on their kinds. */
  check?: Check | undefined
  /** API groups to read; documents of others are somebody else's, and passed over. */
  groups?: readonly string[] | undefined
}

/**
 * Reads one file. A refused document leaves the version of its object that `before` has in force; a document that is
 * broken as YAML names none, so it keeps everything of `before` that the file's other documents do not define.
 */
export async function readConfigFile(
  seen: SeenFile,
  before: FileState | undefined,
  options: ReadOptions = {},
): Promise<FileState> {
  const { path } = seen
  if (seen.sizeBytes > maxTextBytes) return unread(seen, before, 'file is larger than 16 MiB')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    return unread(seen, before, `cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  return await readConfigText({ ...seen, text }, before, options)
}

/** As readConfigFile, for a text that was read already, wherever it is kept. */
export async function readConfigText(
  { path, identity, text }: { path: string; identity: string; text: string },
  before: FileState | undefined,
  { check, groups }: ReadOptions = {},
): Promise<FileState> {
  const read = readDocuments(text, path)
  const problems: Problem[] = [...read.problems]
  const loaded = new Map<string, Loaded>()
  const keep = (key: string): void => {
    const last = before?.loaded.find((candidate) => candidate.key === key)
    if (last !== undefined && !loaded.has(key)) loaded.set(key, last)
  }
  for (const document of read.documents) {
    if (groups !== undefined && !groups.includes(document.apiVersion.split('/')[0] ?? '')) continue
    const reading = await readDocument(document)
    problems.push(...reading.problems)
    if (reading.type === 'refused' && reading.key !== undefined) keep(reading.key)
    if (reading.type !== 'object' && reading.type !== 'raw') continue
    const found: Loaded =
      reading.type === 'object'
        ? { type: 'object', key: reading.key, object: reading.object }
        : { type: 'raw', key: reading.key, object: reading.object }
    const further = check?.(found) ?? []
    problems.push(...further)
    const earlier = loaded.get(found.key)
    if (further.some(({ severity }) => severity === 'error')) keep(found.key)
    else if (earlier !== undefined && isOfThisRead(earlier, read.documents)) problems.push(twice(found, earlier))
    else loaded.set(found.key, found)
  }
  if (read.problems.some(({ severity }) => severity === 'error')) for (const { key } of before?.loaded ?? []) keep(key)
  return { path, identity, loaded: [...loaded.values()], problems }
}

async function readDocument(document: Document): Promise<Reading> {
  const head = readHead(document)
  if (head.type !== 'typed') return head
  const { readSpec } = await import('../read-object.ts')
  return readSpec(head)
}

function isOfThisRead(loaded: Loaded, documents: readonly unknown[]): boolean {
  return documents.includes(loaded.object.document)
}

function twice(second: Loaded, first: Loaded): Problem {
  const { document } = second.object
  return {
    severity: 'error',
    message: `${second.key} is defined already at line ${first.object.document.line}`,
    file: document.file,
    line: document.line,
    object: second.key,
    hint: 'that one holds; remove one of them',
  }
}

/** The file's last good content, with why it could not be read anew. */
function unread(seen: SeenFile, before: FileState | undefined, message: string): FileState {
  const problem: Problem = { severity: 'error', message, file: seen.path, line: 1, hint: 'its last good content stays in force' }
  return { path: seen.path, identity: seen.identity, loaded: before?.loaded ?? [], problems: [problem] }
}
