import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
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

test('a worker loads no gRPC library', () => {
  const loaded = new Set<string>()
  const load = (file: string): void => {
    if (loaded.has(file)) return
    loaded.add(file)
    for (const [, from = ''] of readFileSync(file, 'utf8').matchAll(/(?:import|from)"(\.[^"]+)"/g))
      load(join(dirname(file), from))
  }
  load(join(folder, 'apps/proxy/src/worker-thread.js'))
  const entry = readFileSync(join(folder, 'apps/proxy/src/worker-thread.js'), 'utf8')
  for (const [, from = ''] of entry.matchAll(/import\("(\.[^"]+)"\)/g)) load(join(folder, 'apps/proxy/src', from))
  const texts = [...loaded].map((file) => readFileSync(file, 'utf8'))
  expect(texts.some((text) => text.includes('ProxyWorker'))).toBe(true)
  expect(texts.filter((text) => text.includes('node_modules/@grpc/grpc-js/'))).toEqual([])
})
