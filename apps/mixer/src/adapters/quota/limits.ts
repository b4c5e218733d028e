import { stringify } from '@weft/attributes/stringify'
import type { AttributeValue } from '@weft/attributes/types'
import { WeftError } from '@weft/service/errors'
import type { z } from 'zod'

/** A quota's limit has others that take its place for certain dimensions. */
interface Limited {
  readonly overrides: readonly { readonly dimensions: Readonly<Record<string, string>> }[]
}

type Dimensions = Readonly<Record<string, AttributeValue>>

/** Refuses quotas of which two have one name. */
export function refuseSameNames({ quotas }: { quotas: readonly { name: string }[] }, context: z.RefinementCtx): void {
  const names = new Set<string>()
  quotas.forEach(({ name }, index) => {
    if (names.has(name))
      context.addIssue({ code: 'custom', path: ['quotas', index, 'name'], message: `'${name}' has a limit already` })
    names.add(name)
  })
}

/** Finds a handler's quotas by their names; throws `failed_precondition` where it has none of that name. */
export function quotasOf<Quota extends { name: string }>(handler: string, quotas: readonly Quota[]): (name: string) => Quota {
  const byName = new Map(quotas.map((quota) => [quota.name, quota]))
  return (name) => {
    const quota = byName.get(name)
    if (quota !== undefined) return quota
    throw new WeftError('failed_precondition', `${handler} has no limit for quota '${name}'`, {
      hint: 'add it to the quotas of the handler',
    })
  }
}

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
