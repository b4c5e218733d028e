import { type Random, seededRandom } from '../../fuzz/random.ts'
import type { Message } from '../parity/bootstrap.ts'
import type { Json } from '../parity/json.ts'

/** What a seed decides: the same for the same seed. */
export interface Choice {
  below: Random
  /** True so many times of a hundred. */
  chance(percent: number): boolean
  pick<T>(list: readonly T[]): T
  /** Up to `most` of a list, each once, in the list's order. */
  some<T>(list: readonly T[], most: number): T[]
  /** What `make` gives, so many times of a hundred. */
  maybe<T>(percent: number, make: () => T): T | undefined
  /** From `least` to `most` things, one after the other. */
  many<T>(least: number, most: number, make: (index: number) => T): T[]
}

export function choiceOf(seed: number): Choice {
  const below = seededRandom(seed)
  const chance = (percent: number): boolean => below(100) < percent
  return {
    below,
    chance,
    pick: (list) => {
      const one = list[below(list.length)]
      if (one === undefined) throw new Error('nothing to pick from')
      return one
    },
    some: (list, most) => {
      const wanted = new Set(Array.from({ length: below(most + 1) }, () => below(list.length)))
      return list.filter((_, index) => wanted.has(index))
    },
    maybe: (percent, make) => (chance(percent) ? make() : undefined),
    many: (least, most, make) => Array.from({ length: least + below(most - least + 1) }, (_, index) => make(index)),
  }
}

/** A message without the fields that are not there, and without empty lists. */
export function fields(all: Readonly<Record<string, Json | undefined>>): Message {
  const message: Message = {}
  for (const [name, value] of Object.entries(all))
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) message[name] = value
  return message
}
