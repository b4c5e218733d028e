import { keyOf, type RawObject } from '@weft/config/objects'
import { joinPath } from '@weft/config/path'
import type { Problem, Severity } from '@weft/config/problem'
import { camelCase } from '../adapters/fields.ts'
import { fullName } from './names.ts'

/** An object of Mixer's configuration. */
export interface MixerObject {
  /** `kind/namespace/name` */
  readonly key: string
  readonly kind: string
  readonly name: string
  readonly namespace: string
  /** `name.kind.namespace` */
  readonly fullName: string
  readonly spec: unknown
  readonly raw: RawObject
}

/** Collects what is wrong with objects. */
export type Report = (
  object: MixerObject,
  path: readonly PropertyKey[],
  message: string,
  hint?: string,
  severity?: Severity,
) => void

export function mixerObject(raw: RawObject): MixerObject {
  const { kind, metadata, document } = raw
  const { name, namespace } = metadata
  return { key: keyOf(raw), kind, name, namespace, fullName: fullName(name, kind, namespace), spec: document.value['spec'], raw }
}

/** One problem of an object, at its line. A path is given from the top of the document, in whichever case its fields are. */
export function problemOf(
  object: MixerObject,
  path: readonly PropertyKey[],
  message: string,
  hint: string | undefined,
  severity: Severity,
): Problem {
  const { document } = object.raw
  const written = writtenPath(document.value, path)
  return {
    severity,
    message,
    file: document.file,
    line: document.lineOf(written),
    path: written,
    object: object.key,
    ...(hint === undefined ? {} : { hint }),
  }
}

/** The path as the document has it: a schema says `maxAmount` where the document may say `max_amount`. */
function writtenPath(value: unknown, path: readonly PropertyKey[]): string {
  let at = ''
  let here = value
  for (const segment of path) {
    const wanted = typeof segment === 'number' ? segment : String(segment)
    let key = wanted
    if (typeof here === 'object' && here !== null) {
      if (typeof wanted === 'string' && !Object.hasOwn(here, wanted)) {
        key = Object.keys(here).find((candidate) => camelCase(candidate) === wanted) ?? wanted
      }
      here = Reflect.get(here, key)
    } else here = undefined
    at = joinPath(at, key)
  }
  return at
}
