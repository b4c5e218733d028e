import { WeftError } from '@weft/service/errors'
import { GLOBAL_WORDS } from './global-words.ts'

/** What an index of a message stands for. */
export interface WordReader {
  /** Throws `invalid_argument` for an index that neither list has. */
  word(index: number): string
}

/**
 * Reads the indexes of one message: i ≥ 0 is the global dictionary's, i < 0 is `messageWords[-1 - i]`.
 * `globalWords` is the part of the dictionary that the sender knows, see {@link globalWordsOfSender}.
 */
export function wordReader(messageWords: readonly string[], globalWords: readonly string[] = GLOBAL_WORDS): WordReader {
  return {
    word(index) {
      const word = index < 0 ? messageWords[-1 - index] : globalWords[index]
      if (word === undefined) throw unknownIndex(index, messageWords.length, globalWords.length)
      return word
    },
  }
}

function unknownIndex(index: number, messageCount: number, globalCount: number): WeftError {
  return new WeftError(
    'invalid_argument',
    `attribute word index ${index} is out of range: the message has ${messageCount} words of its own, the global dictionary ${globalCount}`,
    { hint: 'the sender and this receiver may use different global dictionaries' },
  )
}

/**
 * The global dictionary as a sender that announced `globalWordCount` words knows it; 0 is a sender that did
 * not say. Throws `invalid_argument` when the sender's is longer than ours.
 */
export function globalWordsOfSender(globalWordCount: number, globalWords: readonly string[] = GLOBAL_WORDS): readonly string[] {
  if (globalWordCount > globalWords.length) {
    throw new WeftError(
      'invalid_argument',
      `inconsistent global dictionary versions: this side knows ${globalWords.length} words, the sender ${globalWordCount}`,
    )
  }
  return globalWordCount === 0 || globalWordCount === globalWords.length ? globalWords : globalWords.slice(0, globalWordCount)
}

const GLOBAL_INDEXES: ReadonlyMap<string, number> = indexesOf(GLOBAL_WORDS)

function indexesOf(words: readonly string[]): ReadonlyMap<string, number> {
  return new Map(words.map((word, index) => [word, index]))
}

/** Gives out word indexes for one message, collecting what the global dictionary lacks. */
export class WordWriter {
  /** The message's own words, in the order of their indexes -1, -2 … */
  readonly words: string[] = []
  /** Length of all own words together. */
  characters = 0
  readonly #own = new Map<string, number>()
  readonly #global: ReadonlyMap<string, number>
  readonly #globalCount: number

  /** `globalWords`: the dictionary that the receiver is known to have. */
  constructor(globalWords: readonly string[] = GLOBAL_WORDS) {
    this.#global = globalWords === GLOBAL_WORDS ? GLOBAL_INDEXES : indexesOf(globalWords)
    this.#globalCount = globalWords.length
  }

  get globalWordCount(): number {
    return this.#globalCount
  }

  index(word: string): number {
    const global = this.#global.get(word)
    if (global !== undefined) return global
    const known = this.#own.get(word)
    if (known !== undefined) return known
    this.words.push(word)
    this.characters += word.length
    const index = -this.words.length
    this.#own.set(word, index)
    return index
  }
}
