import { createHash } from 'node:crypto'
import type { Document } from './document.ts'
import { type KindReaders, kindReaders, lookUpKind } from './kinds.ts'
import { readMetadata } from './metadata.ts'
import { type ConfigObject, type Kind, keyOf, type RawObject, type TypedObject } from './objects.ts'
import type { Problem, Severity } from './problem.ts'
import { validate } from './validate/index.ts'

/** What one document turned out to be. Warnings come with an object that is used all the same. */
export type Reading =
  | { type: 'object'; key: string; object: ConfigObject; problems: Problem[] }
  | { type: 'raw'; key: string; object: RawObject; problems: Problem[] }
  /** Nothing that Weft acts on: one notice. */
  | { type: 'ignored'; problems: Problem[] }
  /** `key` is there when its kind and name could be read: the last good version of that object stays. */
  | { type: 'refused'; key: string | undefined; problems: Problem[] }

const topLevel = new Set(['apiVersion', 'kind', 'metadata', 'spec', 'status'])

/**
 * Reads a document as an object of its kind: strictly (unknown fields, types, enums, durations) and then by the rules
 * that Istio's webhook has for it. All problems are collected, each with its line and path.
 */
export function readObject(document: Document): Reading {
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
  if (lookup.type === 'raw') {
    if (key === undefined || problems.length > 0) return { type: 'refused', key, problems }
    return { type: 'raw', key, object: { kind, apiVersion, metadata, document, version }, problems }
  }
  for (const field of Object.keys(document.value)) {
    if (!topLevel.has(field)) report('error', field, `unknown field "${field}"`, 'an object has apiVersion, kind, metadata, spec')
  }
  const object = readTyped(lookup.kind, kindReaders, { apiVersion, metadata, document, version }, report)
  if (object !== undefined) validate(object, report)
  if (object === undefined || key === undefined || problems.some(({ severity }) => severity === 'error')) {
    return { type: 'refused', key, problems }
  }
  return { type: 'object', key, object, problems }
}

function readTyped<K extends Kind>(
  kind: K,
  readers: KindReaders,
  rest: Omit<TypedObject<K>, 'kind' | 'spec'>,
  report: (severity: Severity, path: string, message: string, hint?: string) => void,
): ConfigObject | undefined {
  const read = readers[kind](rest.document.value['spec'])
  if ('problems' in read) {
    for (const { path, message, hint } of read.problems) report('error', path, message, hint)
    return undefined
  }
  return configObject({ kind, spec: read.spec, ...rest })
}

/** TypeScript cannot see that a TypedObject of some kind is one of the union of all: this is the one place that says so. */
function configObject<K extends Kind>(object: TypedObject<K>): ConfigObject {
  return object as unknown as ConfigObject
}
