import { CheckCache } from '@weft/attributes/check-cache'
import { GLOBAL_WORDS } from '@weft/attributes/global-words'
import { decodeReferences } from '@weft/attributes/references'
import { goBag } from '../../go-values.ts'
import { array, type JsonObject, object, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { referencedAttributes } from './references.ts'

/** A kept decision applies to a bag only if all `EXACT` references are there and no `ABSENCE` one is. */
export function referenceShapes(file: JsonObject): CaseResult[] {
  return array(file['cases'], 'cases').flatMap((entry) => {
    const one = object(entry, 'case')
    const { references } = decodeReferences(referencedAttributes(object(one['ra'], 'ra')))
    return array(one['attrs'], 'attrs').map((attrs): CaseResult => {
      const { bag: values, checkPresent, checkAbsent, name } = object(attrs, 'attrs')
      const bag = goBag(object(values, 'bag'), new Map(), GLOBAL_WORDS)
      const has = (key: string | undefined, attribute: string) =>
        (key === undefined ? bag.get(attribute) : bag.getEntry(attribute, key)) !== undefined
      const cache = new CheckCache<string>({ capacity: 10 })
      cache.set(bag, references, 'kept', 2, 10, 1)
      const expected = { present: checkPresent, absent: checkAbsent, applies: checkPresent === true && checkAbsent === true }
      const actual = {
        present: references.every((reference) => reference.condition === 'absence' || has(reference.key, reference.name)),
        absent: references.every((reference) => reference.condition === 'exact' || !has(reference.key, reference.name)),
        applies: cache.get(bag, 1) === 'kept',
      }
      return { name: text(name, 'name'), passed: JSON.stringify(expected) === JSON.stringify(actual), expected, actual }
    })
  })
}
