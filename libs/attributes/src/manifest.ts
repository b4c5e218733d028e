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
