import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readDocuments } from '@weft/config/document'
import { describeProblem } from '@weft/config/problem'
import { readObject } from '@weft/config/read-object'
import { type CaseResult, CasesAbsent } from '../suite.ts'

/** Objects that Istio's schemas refuse; `_err` says why in their words, and is no part of the object. */
export function istioCrds(dir: string): CaseResult[] {
  const folder = join(dir, 'istio-crds')
  if (!existsSync(folder)) throw new CasesAbsent(`${folder} is not there`)
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .flatMap((file) =>
      readDocuments(readFileSync(join(folder, file), 'utf8'), file).documents.map((document) => {
        const { _err: expected, ...value } = document.value
        const { type, problems } = readObject({ ...document, value })
        const errors = problems.filter(({ severity }) => severity === 'error').map(describeProblem)
        const refused = typeof expected === 'string' && expected !== ''
        const passed = type !== 'ignored' && errors.length > 0 === refused
        return {
          name: `${file}:${document.line}`,
          passed,
          expected: expected ?? 'valid',
          actual: type === 'ignored' ? 'this kind is not read' : errors,
        }
      }),
    )
}
