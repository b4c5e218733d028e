import { GLOBAL_WORDS } from '@weft/attributes/global-words'
import { WordWriter, wordReader } from '@weft/attributes/words'
import { array, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'

/** Every word of the dictionary stands at its index, both ways, and there is no other. */
export function mixerDictionary(dir: string): CaseResult[] {
  const file = readCases(dir, 'mixer-dictionary.json')
  const words = array(file['words'], 'words').map((word) => text(word, 'word'))
  const writer = new WordWriter()
  const reader = wordReader([])
  const results = words.map((word, index): CaseResult => {
    const actual = { read: index < GLOBAL_WORDS.length ? reader.word(index) : undefined, written: writer.index(word) }
    return {
      name: `word ${index}`,
      passed: actual.read === word && actual.written === index,
      expected: { read: word, written: index },
      actual,
    }
  })
  const count = file['count'] ?? words.length
  results.push({ name: 'number of words', passed: GLOBAL_WORDS.length === count, expected: count, actual: GLOBAL_WORDS.length })
  return results
}
