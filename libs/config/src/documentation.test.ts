import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readDocuments } from './document.ts'
import { readMeshConfig } from './mesh-config.ts'
import { describeProblem } from './problem.ts'
import { readObject } from './read-object.ts'

const root = join(import.meta.dirname, '../../..')

/** YAML documents that stand on a page: in blocks of their own, and in what a shell is given (`<<END`). */
function documentsOf(page: string): string[] {
  const blocks = [...page.matchAll(/^```(yaml|sh)\n([\s\S]*?)^```/gm)].flatMap(([, language, text = '']) =>
    language === 'yaml' ? [text] : [...text.matchAll(/<<(\w+)\n([\s\S]*?)^\1$/gm)].map(([, , given = '']) => given),
  )
  return blocks.flatMap((block) => block.split(/^---$/m))
}

const pages = [
  'README.md',
  ...['docs', 'docs/platforms'].flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)),
]
const examples = pages
  .filter((page) => page.endsWith('.md'))
  .flatMap((page) => documentsOf(readFileSync(join(root, page), 'utf8')).map((text) => ({ page, text })))

describe('the examples of the pages', () => {
  const objects = examples.filter(({ text }) => /^apiVersion:/m.test(text))
  it('that are objects are valid, and of kinds that have an effect', () => {
    expect(objects.length).toBeGreaterThan(15)
    const told = objects.flatMap(({ page, text }) => {
      const { documents, problems } = readDocuments(text, page)
      return [...problems, ...documents.flatMap((document) => readObject(document).problems)].map(describeProblem)
    })
    expect(told).toEqual([])
  })

  const meshConfigs = examples.filter(({ text }) => /^extensionProviders:/m.test(text))
  it('that are MeshConfig are valid', () => {
    expect(meshConfigs.length).toBeGreaterThan(1)
    for (const { page, text } of meshConfigs) readMeshConfig(text, page)
  })
})
