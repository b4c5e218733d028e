import type { MetadataKey } from '@weft/contracts/envoy/type/metadata/v3/metadata'

/** Reads what a `MetadataKey` leads to, by names and places in lists; undefined: there is nothing. */
export function metadataReader(source: MetadataKey | undefined): (metadata: unknown) => unknown {
  const steps = [source?.key ?? '', ...(source?.path ?? []).map(({ segment }) => segment?.value ?? '')]
  return (metadata) => {
    let value = metadata
    for (const step of steps) {
      if (typeof value !== 'object' || value === null) return undefined
      // A list is asked by number alone, and a record by name.
      if (Array.isArray(value) !== (typeof step === 'number')) return undefined
      value = Object.hasOwn(value, step) ? Reflect.get(value, step) : undefined
    }
    return value
  }
}
