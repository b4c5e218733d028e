import { stringify } from '@weft/attributes/stringify'
import type { AttributeValue } from '@weft/attributes/types'

/** A quota's limit has others that take its place for certain dimensions. */
interface Limited {
  readonly overrides: readonly { readonly dimensions: Readonly<Record<string, string>> }[]
}

type Dimensions = Readonly<Record<string, AttributeValue>>

/**
 * The limit that counts for an instance: the first override all of whose dimensions are the instance's (an override
 * without dimensions fits all), else the quota itself.
 */
export function limitFor<Quota extends Limited>(quota: Quota, dimensions: Dimensions): Quota | Quota['overrides'][number] {
  for (const override of quota.overrides) if (fits(override.dimensions, dimensions)) return override
  return quota
}

function fits(wanted: Readonly<Record<string, string>>, dimensions: Dimensions): boolean {
  for (const name in wanted) {
    if (!Object.hasOwn(dimensions, name) || stringify(dimensions[name]) !== wanted[name]) return false
  }
  return true
}

/** One text for each distinct set of dimensions of a quota; the order of the dimensions does not count. */
export function cellKey(name: string, dimensions: Dimensions): string {
  let key = name
  for (const dimension of Object.keys(dimensions).sort()) {
    const text = stringify(dimensions[dimension])
    key += `;${dimension}=${text.length}:${text}`
  }
  return key
}
