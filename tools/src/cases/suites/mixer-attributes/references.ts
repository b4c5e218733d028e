import { ReferencedAttributes_Condition as Condition, type ReferencedAttributes } from '@weft/contracts/istio/mixer/v1/check'
import { type JsonObject, object, optionalArray } from '../../read.ts'

/** A Go ReferencedAttributes literal as a message. */
export function referencedAttributes(ra: JsonObject): ReferencedAttributes {
  return {
    words: optionalArray(ra['Words'], 'Words').map(String),
    attributeMatches: optionalArray(ra['AttributeMatches'], 'AttributeMatches').map((entry) => {
      const match = object(entry, 'match')
      return {
        name: Number(match['Name'] ?? 0),
        mapKey: Number(match['MapKey'] ?? 0),
        condition:
          match['Condition'] === 'EXACT'
            ? Condition.EXACT
            : match['Condition'] === 'ABSENCE'
              ? Condition.ABSENCE
              : Condition.REGEX,
        regex: '',
      }
    }),
  }
}
