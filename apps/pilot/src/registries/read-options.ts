import { WeftError } from '@weft/service/errors'
import type { PlatformSpec } from './platform-spec.ts'

/** The options of a `--registry` or the like, by name. Throws for one that its platform does not know. */
export function readOptions<K extends string>(
  { flag, platform, options }: PlatformSpec,
  known: readonly K[],
): Partial<Record<K, string>> {
  const read: Partial<Record<K, string>> = {}
  for (const [name, value] of options) {
    const key = known.find((candidate) => candidate === name)
    if (key === undefined) {
      throw new WeftError('invalid_argument', `${flag} ${platform} has no option '${name}'`, {
        hint: `there are ${known.join(', ')}`,
      })
    }
    read[key] = value
  }
  return read
}
