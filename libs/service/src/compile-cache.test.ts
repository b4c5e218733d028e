import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

let installation = ''
beforeAll(() => {
  installation = mkdtempSync(join(tmpdir(), 'weft-installation-'))
  mkdirSync(join(installation, 'libs/service/src'), { recursive: true })
  writeFileSync(join(installation, 'package.json'), '{ "type": "module" }')
  copyFileSync(join(import.meta.dirname, 'compile-cache.ts'), join(installation, 'libs/service/src/compile-cache.ts'))
})
afterAll(() => rmSync(installation, { recursive: true, force: true }))

/** Where a process of the installation keeps compiled code. */
function cacheFolder(): string {
  const { NODE_COMPILE_CACHE: _folder, NODE_DISABLE_COMPILE_CACHE: _off, ...env } = process.env
  const code = `await import(${JSON.stringify(join(installation, 'libs/service/src/compile-cache.ts'))})
    console.log((await import('node:module')).getCompileCacheDir())`
  return execFileSync(process.execPath, ['--input-type=module', '-e', code], {
    env: { ...env, TMPDIR: installation },
    encoding: 'utf8',
  })
}

test('compiled code is kept in the installation, and goes with it', () => {
  expect(cacheFolder()).toContain(join(installation, 'node_modules/.cache/weft/compile'))
})

test('where that can not be, in the folder for temporary files', () => {
  rmSync(join(installation, 'node_modules'), { recursive: true, force: true })
  writeFileSync(join(installation, 'node_modules'), 'no folder')
  expect(cacheFolder()).toContain(join(installation, 'node-compile-cache'))
})
