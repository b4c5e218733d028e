import { createHash } from 'node:crypto'
import type { Document } from './document.ts'
import { lookUpKind } from './kind-lookup.ts'
import { readMetadata } from './metadata.ts'
import { type Kind, keyOf, type TypedObject } from './objects.ts'
import type { Problem, Severity } from './problem.ts'
import type { Reading } from './reading.ts'

/** A document of a typed kind, of which only the spec is left to read. */
export interface TypedHead {
  type: 'typed'
  kind: Kind
  key: string | undefined
  rest: Omit<TypedObject<Kind>, 'kind' | 'spec'>
  problems: Problem[]
  report: (severity: Severity, path: string, message: string, hint?: string) => void
}

/**
 * What a document's kind and metadata tell. Documents of raw kinds are read with that; what reads the specs of the others
 * is not loaded here, so that who needs none of them starts without it.
 */
export function readHead(document: Document): TypedHead | Exclude<Reading, { type: 'object' }> {
  const { apiVersion, kind } = document
  const lookup = lookUpKind(apiVersion, kind)
  const problems: Problem[] = []
  const { metadata, problems: metadataProblems } = readMetadata(document.value['metadata'])
  const key = metadata.name === '' ? undefined : keyOf({ kind, metadata })
  const report = (severity: Severity, path: string, message: string, hint?: string): void => {
    problems.push({
      severity,
      message,
      file: document.file,
      line: document.lineOf(path),
      ...(path === '' ? {} : { path }),
      ...(key === undefined ? {} : { object: key }),
      ...(hint === undefined ? {} : { hint }),
    })
  }

  if (lookup.type === 'ignored') {
    report('notice', '', lookup.message)
    return { type: 'ignored', problems }
  }
  if (lookup.type === 'unknown') {
    report('error', '', lookup.message, lookup.hint)
    return { type: 'refused', key, problems }
  }
  for (const { path, message, hint } of metadataProblems) report('error', path, message, hint)
  const version = createHash('sha1').update(JSON.stringify(document.value)).digest('base64url')
  if (lookup.type === 'typed') {
    return { type: 'typed', kind: lookup.kind, key, rest: { apiVersion, metadata, document, version }, problems, report }
  }
  if (key === undefined || problems.length > 0) return { type: 'refused', key, problems }
  return { type: 'raw', key, object: { kind, apiVersion, metadata, document, version }, problems }
}
