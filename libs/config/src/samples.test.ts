import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readDocuments } from './document.ts'
import { describeProblem } from './problem.ts'
import { readObject } from './read-object.ts'

const cases = join(import.meta.dirname, '../../../../shared/cases')

test.for(['samples', 'samples-1.0'])("every YAML of Istio's %s loads without an error", (folder, { skip }) => {
  const root = join(cases, folder)
  if (!existsSync(root)) skip(`${root} is not there`)
  const errors: string[] = []
  let objects = 0
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.ya?ml$/.test(entry.name)) continue
    const file = join(entry.parentPath, entry.name)
    const { documents, problems } = readDocuments(readFileSync(file, 'utf8'), file)
    const readings = documents.map(readObject)
    objects += readings.filter(({ type }) => type === 'object' || type === 'raw').length
    const found = [...problems, ...readings.flatMap((reading) => reading.problems)]
    errors.push(...found.filter(({ severity }) => severity === 'error').map(describeProblem))
  }
  expect(errors).toEqual([])
  expect(objects).toBeGreaterThan(50)
})
