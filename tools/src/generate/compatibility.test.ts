import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { compatibilityPage, withFieldTable } from './compatibility.ts'

test('the compatibility page says of each field what the validators do with it', () => {
  const page = readFileSync(compatibilityPage, 'utf8')
  expect(page === withFieldTable(page), 'bring it up to date: node tools/src/generate/compatibility.ts').toBe(true)
})

test('a field that is refused is told so', () => {
  const page = withFieldTable(readFileSync(compatibilityPage, 'utf8'))
  const row = page.split('\n').find((line) => line.startsWith('| `envoy.config.route.v3.RouteConfiguration`')) ?? ''
  const [, , does, , refuses] = row.split('|')
  expect(does).toContain('`virtual_hosts`')
  expect(refuses).toContain('`vhds`')
})
