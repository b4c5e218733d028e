import type { ConfigObject, RawObject } from './objects.ts'
import type { Problem } from './problem.ts'

/** What one document turned out to be. Warnings come with an object that is used all the same. */
export type Reading =
  | { type: 'object'; key: string; object: ConfigObject; problems: Problem[] }
  | { type: 'raw'; key: string; object: RawObject; problems: Problem[] }
  /** Nothing that Weft acts on: one notice. */
  | { type: 'ignored'; problems: Problem[] }
  /** `key` is there when its kind and name could be read: the last good version of that object stays. */
  | { type: 'refused'; key: string | undefined; problems: Problem[] }
