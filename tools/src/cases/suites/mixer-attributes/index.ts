import { join } from 'node:path'
import { type JsonObject, listCases, readCases } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { bagTables } from './bag-tables.ts'
import { checkCache } from './check-cache.ts'
import { referenceShapes } from './reference-shapes.ts'
import { stringForms } from './string-forms.ts'

const FOLDER = 'mixer-attributes'

const READERS: Readonly<Record<string, (file: JsonObject) => CaseResult[]>> = {
  'bag_test-tables.json': bagTables,
  'check-cache.json': checkCache,
  'referenced-attributes-keyshape.json': referenceShapes,
  'stringify.json': stringForms,
}

/** Bags and their wire form, what a check cache keeps, and how values print. A file of no known kind is a failure. */
export function mixerAttributes(dir: string): CaseResult[] {
  return listCases(dir, FOLDER).flatMap((name): CaseResult[] => {
    const reader = READERS[name]
    if (reader === undefined) return [{ name, passed: false, expected: Object.keys(READERS), actual: 'a file of another kind' }]
    return reader(readCases(dir, join(FOLDER, name))).map((result) => ({ ...result, name: `${name}: ${result.name}` }))
  })
}
