import type { Random } from './random.ts'

const MAX_LENGTH = 65_536

/** An input made of another by a few random edits: flips, cuts, repeats, words, and pieces of a third. */
export function mutate(
  random: Random,
  input: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
): Uint8Array {
  let bytes = Array.from(input)
  for (let edits = 1 + random(4); edits > 0; edits--) bytes = edit(random, bytes, others, words).slice(0, MAX_LENGTH)
  return Uint8Array.from(bytes)
}

function edit(random: Random, bytes: number[], others: readonly Uint8Array[], words: readonly Uint8Array[]): number[] {
  const at = random(bytes.length + 1)
  const length = random(Math.min(32, bytes.length - at + 1))
  const insert = (piece: Iterable<number>) => [...bytes.slice(0, at), ...piece, ...bytes.slice(at)]
  const word = words[random(words.length)] ?? []
  switch (random(9)) {
    case 0:
      return bytes.map((byte, index) => (index === at ? byte ^ (1 << random(8)) : byte))
    case 1:
      return bytes.map((byte, index) => (index === at ? random(256) : byte))
    case 2:
      return [...bytes.slice(0, at), ...bytes.slice(at + length)]
    case 3:
      return insert(Array.from({ length: 1 + random(8) }, () => random(256)))
    case 4: {
      const piece = bytes.slice(at, at + length)
      return insert(Array.from({ length: 1 + random(64) }, () => piece).flat())
    }
    case 5: {
      const other = others[random(others.length)] ?? []
      const from = random(other.length + 1)
      return insert(other.slice(from, from + 1 + random(64)))
    }
    case 6:
      return bytes.slice(0, at)
    case 7:
      // In place of others: lengths that stand before stay true.
      return [...bytes.slice(0, at), ...word, ...bytes.slice(at + word.length)]
    default:
      return insert(word)
  }
}
