import { WeftError } from '@weft/service/errors'
import type { ValueType } from './types.ts'

/** Says which type each known attribute has. */
export interface Manifest {
  typeOf(name: string): ValueType | undefined
  names(): Iterable<string>
}

/** A manifest of the given types by attribute name. */
export function manifestOf(types: Readonly<Record<string, ValueType>> | ReadonlyMap<string, ValueType>): Manifest {
  const known: ReadonlyMap<string, ValueType> = types instanceof Map ? types : new Map(Object.entries(types))
  return { typeOf: (name) => known.get(name), names: () => known.keys() }
}

/**
 * One manifest out of several (the mesh's own, the platform's, and what attribute-generating adapters add).
 * Throws `already_exists` where two give one attribute different types, naming both.
 */
export function mergeManifests(manifests: readonly Manifest[]): Manifest {
  const merged = new Map<string, ValueType>()
  for (const manifest of manifests) {
    for (const name of manifest.names()) {
      const type = manifest.typeOf(name)
      if (type === undefined) continue
      const before = merged.get(name)
      if (before !== undefined && before !== type) {
        throw new WeftError('already_exists', `attribute '${name}' is declared as ${before} and as ${type}`, {
          where: { path: name },
          hint: 'give it one type in all attributemanifests',
        })
      }
      merged.set(name, type)
    }
  }
  return manifestOf(merged)
}
