import type { RuntimeValue } from '../plan/runtime.ts'
import { shownNumber } from '../shown-number.ts'

/** One value of a layer: as it was written, and what it is taken for. */
export interface RuntimeEntry {
  text: string
  value: RuntimeValue
}

/** The values of one layer by their dotted keys. */
export type RuntimeEntries = ReadonlyMap<string, RuntimeEntry>

const denominators: Readonly<Record<string, number>> = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 }

/** A value that was written as text: a boolean, a number, or just text. */
export function entryOfText(text: string): RuntimeEntry {
  const word = text.trim()
  if (/^(?:true|false)$/i.test(word)) return { text, value: word.toLowerCase() === 'true' }
  return { text, value: /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(word) ? Number(word) : text }
}

/**
 * The values of a tree: `{a: {b: 1}}` is `a.b` = 1, and a map with a numerator or a denominator is a fractional percent.
 * `refuse` is called with the key of a value that is none (a list, null).
 */
export function entriesOfTree(tree: Readonly<Record<string, unknown>>, refuse: (key: string) => void): RuntimeEntries {
  const entries = new Map<string, RuntimeEntry>()
  const visit = (key: string, value: unknown): void => {
    if (typeof value === 'string') entries.set(key, entryOfText(value))
    else if (typeof value === 'number') entries.set(key, { text: shownNumber(value), value })
    else if (typeof value === 'boolean') entries.set(key, { text: String(value), value })
    else if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(key)
    else {
      const members = Object.entries(value)
      if (members.length === 0 || Object.hasOwn(value, 'numerator') || Object.hasOwn(value, 'denominator'))
        entries.set(key, { text: JSON.stringify(value), value: fraction(members) ?? '' })
      else for (const [name, member] of members) visit(`${key}.${name}`, member)
    }
  }
  for (const [key, value] of Object.entries(tree)) visit(key, value)
  return entries
}

function fraction(members: readonly (readonly [string, unknown])[]): RuntimeValue | null {
  let numerator = 0
  let denominator: number | undefined = 100
  for (const [name, value] of members) {
    if (name === 'numerator' && typeof value === 'number' && value >= 0) numerator = Math.floor(value)
    else if (name === 'denominator' && typeof value === 'string' && Object.hasOwn(denominators, value))
      denominator = denominators[value]
    else return null
  }
  return { share: numerator / (denominator ?? 100) }
}
