import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleApp } from './bundle.ts'

let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weft-bundle-'))
  await bundleApp('proxy', folder)
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("the proxy's bundle has native code that loads: koffi, by which original destinations are read", () => {
  const bundled = createRequire(join(folder, 'apps/proxy/src/main.js'))
  const path = bundled.resolve('koffi')
  expect(path.startsWith(folder), path).toBe(true)
  const koffi = bundled('koffi') as { load(library: null): { func(signature: string): (...args: unknown[]) => unknown } }
  expect(koffi.load(null).func('int getpid()')()).toBe(process.pid)
})
