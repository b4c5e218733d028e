import type { Document } from './document.ts'
import { type KindReaders, kindReaders } from './kinds.ts'
import type { ConfigObject, Kind, TypedObject } from './objects.ts'
import type { Severity } from './problem.ts'
import { readHead, type TypedHead } from './read-head.ts'
import type { Reading } from './reading.ts'
import { validate } from './validate/index.ts'

const topLevel = new Set(['apiVersion', 'kind', 'metadata', 'spec', 'status'])

/**
 * Reads a document as an object of its kind: strictly (unknown fields, types, enums, durations) and then by the rules
 * that Istio's webhook has for it. All problems are collected, each with its line and path.
 */
export function readObject(document: Document): Reading {
  const head = readHead(document)
  return head.type === 'typed' ? readSpec(head) : head
}

/** Reads the rest of a document whose head has been read. */
export function readSpec({ kind, key, rest, problems, report }: TypedHead): Reading {
  for (const field of Object.keys(rest.document.value)) {
    if (!topLevel.has(field)) report('error', field, `unknown field "${field}"`, 'an object has apiVersion, kind, metadata, spec')
  }
  const object = readTyped(kind, kindReaders, rest, report)
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
