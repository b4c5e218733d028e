import { isDeepStrictEqual } from 'node:util'
import { CheckCache } from '@weft/attributes/check-cache'
import { GLOBAL_WORDS } from '@weft/attributes/global-words'
import { decodeReferences } from '@weft/attributes/references'
import { goBag, goField } from '../../go-values.ts'
import { array, type Json, type JsonObject, object, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { referencedAttributes } from './references.ts'

const NOW_MS = 1_500_000_000_000

/** Decisions put into a check cache for one bag and asked for with others, step by step on one cache. */
export function checkCache(file: JsonObject): CaseResult[] {
  const cache = new CheckCache<JsonObject>({ capacity: 10 })
  return array(file['cases'], 'cases').flatMap((entry) => {
    const one = object(entry, 'case')
    const value = object(one['value'], 'value')
    const { references } = decodeReferences(referencedAttributes(goField(value, 'ReferencedAttributes')))
    const uses = Number(value['ValidUseCount'])
    cache.set(goBag(object(one['setBag'], 'setBag'), new Map(), GLOBAL_WORDS), references, value, expiryOf(value), uses, NOW_MS)
    return array(one['getCases'], 'getCases').map((get): CaseResult => {
      const { getBag, name, result, resultValue } = object(get, 'getCase')
      const found = cache.get(goBag(object(getBag, 'getBag'), new Map(), GLOBAL_WORDS), NOW_MS)
      const expected = result === true ? resultValue : undefined
      const actual = found === undefined ? undefined : withoutExpiry(found)
      return { name: text(name, 'name'), passed: isDeepStrictEqual(actual, expected), expected, actual }
    })
  })
}

/** `time.Now().Add(n)` of the original, n in nanoseconds. */
function expiryOf(value: JsonObject): number {
  const [nanoseconds] = array(goField(value, 'Expiration')['args'], 'Expiration.args')
  return NOW_MS + Number(nanoseconds) / 1_000_000
}

/** The tables leave the expiry out of what they expect to find. */
function withoutExpiry(value: JsonObject): { [key: string]: Json } {
  const { Expiration: _, ...rest } = value
  return rest
}
