import { Duration } from '@weft/attributes/duration'
import { stringEquals, stringify } from '@weft/attributes/stringify'
import type { AttributeValue } from '@weft/attributes/types'
import { goDuration, goValue, type Idents } from '../../go-values.ts'
import { array, type Json, type JsonObject, object, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

/** Variables of the original test that its tables name but do not hold. */
const IDENTS: Idents = new Map<string, AttributeValue>([
  ['testTime', new Date('2013-02-03T00:00:00Z')],
  ['tTime', new Date('2013-02-03T00:00:00Z')],
  ['t2Time', new Date('2013-02-04T00:00:00Z')],
  ['tDuration', new Duration(1)],
])

/** How values print, and when two values mean the same. */
export function stringForms(file: JsonObject): CaseResult[] {
  const printed = array(file['stringify'], 'stringify').map((entry): CaseResult => {
    const { v, want } = object(entry, 'stringify case')
    const expected = text(want, 'want')
    const actual = stringify(printable(v, expected))
    return { name: `stringify ${JSON.stringify(v)}`, passed: actual === expected, expected, actual }
  })
  const compared = array(file['stringEquals'], 'stringEquals').map((entry): CaseResult => {
    const { a, b, want } = object(entry, 'stringEquals case')
    const actual = stringEquals(goValue(a, IDENTS), goValue(b, IDENTS))
    return { name: `${JSON.stringify(a)} equals ${JSON.stringify(b)}`, passed: actual === want, expected: want, actual }
  })
  return [...printed, ...compared]
}

/** The tables write a time.Duration as its nanoseconds; that it is one shows only in what it should print as. */
function printable(value: Json | undefined, wanted: string): AttributeValue | undefined {
  const isDuration = typeof value === 'number' && Number.isNaN(Number(wanted))
  return isDuration ? goDuration(value) : goValue(value, IDENTS)
}
