import { mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { describeProblem } from '../problem.ts'
import type { LoadedConfig } from './loaded.ts'
import { type ConfigWatch, watchConfig } from './watch-config.ts'

/** For a busy machine. */
const patience = 10_000

let folder: string
let watched: ConfigWatch | undefined
const seen: LoadedConfig[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-config-'))
  seen.length = 0
})
afterEach(async () => {
  await watched?.close()
  watched = undefined
  await rm(folder, { recursive: true, force: true })
})

function virtualService(name: string, weight = 100, namespace = 'default'): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  hosts: [${name}]
  http:
  - route:
    - destination:
        host: ${name}
      weight: ${weight}
`
}

async function start(...folders: string[]): Promise<ConfigWatch> {
  watched = await watchConfig({
    folders: folders.length === 0 ? [folder] : folders,
    onChange: (config) => void seen.push(config),
    onError: (error) => {
      throw error
    },
  })
  return watched
}

function weightOf(config: LoadedConfig, name: string): number | undefined {
  const loaded = config.objects.get(`VirtualService/default/${name}`)
  return loaded?.type === 'object' && loaded.object.kind === 'VirtualService'
    ? loaded.object.spec.http[0]?.route[0]?.weight
    : undefined
}

test('objects are there from the start, from folders below too, and hidden files are not read', async () => {
  await mkdir(join(folder, 'deep/er'), { recursive: true })
  await writeFile(join(folder, 'a.yaml'), `${virtualService('a')}---\n${virtualService('b')}`)
  await writeFile(join(folder, 'deep/er/c.json'), JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'c' } }))
  await writeFile(join(folder, '.a.yaml.swp'), 'broken: [')
  const { current } = await start()
  expect([...current.objects.keys()].sort()).toEqual([
    'Service/default/c',
    'VirtualService/default/a',
    'VirtualService/default/b',
  ])
  expect(current.problems).toEqual([])
})

test('a changed, an added and a removed file are told', async () => {
  await writeFile(join(folder, 'a.yaml'), virtualService('a'))
  const config = await start()
  await writeFile(join(folder, 'a.yaml'), virtualService('a', 80))
  await vi.waitFor(() => expect(weightOf(config.current, 'a')).toBe(80), patience)
  await mkdir(join(folder, 'new'))
  await writeFile(join(folder, 'new/b.yaml'), virtualService('b', 20))
  await vi.waitFor(() => expect(weightOf(config.current, 'b')).toBe(20), patience)
  await unlink(join(folder, 'a.yaml'))
  await vi.waitFor(() => expect(weightOf(config.current, 'a')).toBeUndefined(), patience)
  expect(weightOf(config.current, 'b')).toBe(20)
})

test('a half-written file keeps its last good objects, says its line, and mends itself', async () => {
  const file = join(folder, 'a.yaml')
  await writeFile(file, `${virtualService('a')}---\n${virtualService('b', 70)}`)
  const config = await start()
  await writeFile(file, `${virtualService('a', 80)}---\n${virtualService('b', 60).slice(0, 110)}"x: [`)
  await vi.waitFor(() => expect(weightOf(config.current, 'a')).toBe(80), patience)
  expect(weightOf(config.current, 'b')).toBe(70)
  expect(config.current.problems.map(describeProblem)).toEqual([expect.stringMatching(/a\.yaml:\d+: broken YAML: .*left out/)])
  await writeFile(file, `${virtualService('a', 80)}---\n${virtualService('b', 60)}`)
  await vi.waitFor(() => expect(weightOf(config.current, 'b')).toBe(60), patience)
  expect(config.current.problems).toEqual([])
})

test('a refused document keeps the last good version of its object alone', async () => {
  const file = join(folder, 'a.yaml')
  await writeFile(file, `${virtualService('a')}---\n${virtualService('b')}`)
  const config = await start()
  await writeFile(file, `${virtualService('a', 10).replace('http:', 'htp:')}---\n${virtualService('b', 20)}`)
  await vi.waitFor(() => expect(weightOf(config.current, 'b')).toBe(20), patience)
  expect(weightOf(config.current, 'a')).toBe(100)
  expect(config.current.problems.map(describeProblem)).toEqual([
    `${file}:8: spec.htp: unknown field "htp" (did you mean "http"?)`,
  ])
})

test('a file that is empty for a moment, while it is being written, loses nothing', async () => {
  const file = join(folder, 'a.yaml')
  await writeFile(file, virtualService('a'))
  const config = await watchConfig({ folders: [folder], onChange: () => {}, onError: () => {}, emptyGraceMs: 3_000 })
  watched = config
  await truncate(file)
  await config.refresh()
  expect(weightOf(config.current, 'a')).toBe(100)
  await writeFile(file, virtualService('a', 30))
  await vi.waitFor(() => expect(weightOf(config.current, 'a')).toBe(30), patience)
  await truncate(file)
  await vi.waitFor(() => expect(weightOf(config.current, 'a')).toBeUndefined(), patience)
})

test('an atomic replacement and a swapped folder link (as a mounted ConfigMap does it) are seen', async () => {
  await mkdir(join(folder, '..v1'))
  await mkdir(join(folder, '..v2'))
  await writeFile(join(folder, '..v1/a.yaml'), virtualService('a', 1))
  await writeFile(join(folder, '..v2/a.yaml'), virtualService('a', 2))
  await symlink('..v1', join(folder, '..data'))
  await symlink('..data/a.yaml', join(folder, 'a.yaml'))
  const config = await start()
  expect(weightOf(config.current, 'a')).toBe(1)
  await symlink('..v2', join(folder, '..tmp'))
  await rename(join(folder, '..tmp'), join(folder, '..data'))
  await vi.waitFor(() => expect(weightOf(config.current, 'a')).toBe(2), patience)
  await writeFile(join(folder, '.next'), virtualService('b', 3))
  await rename(join(folder, '.next'), join(folder, 'b.yaml'))
  await vi.waitFor(() => expect(weightOf(config.current, 'b')).toBe(3), patience)
})

test('of two definitions the first holds: in one folder the second is an error, between folders a warning', async () => {
  const first = join(folder, 'first')
  const second = join(folder, 'second')
  await mkdir(first)
  await mkdir(second)
  await writeFile(join(first, 'a.yaml'), virtualService('a', 1))
  await writeFile(join(first, 'b.yaml'), virtualService('a', 2))
  await writeFile(join(second, 'a.yaml'), virtualService('a', 3))
  const { current } = await start(first, second)
  expect(weightOf(current, 'a')).toBe(1)
  expect(current.problems.map(({ severity, file }) => [severity, file])).toEqual([
    ['error', join(first, 'b.yaml')],
    ['warning', join(second, 'a.yaml')],
  ])
})

test('many changes at once are told together', async () => {
  await start()
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => writeFile(join(folder, `${index}.yaml`), virtualService(`v${index}`))),
  )
  await vi.waitFor(() => expect(watched?.current.objects.size).toBe(50), patience)
  expect(seen.length).toBeLessThan(10)
})

test('a folder that comes into being later is read then', async () => {
  const later = join(folder, 'later')
  watched = await watchConfig({ folders: [later], onChange: () => undefined, onError: () => undefined, pollMs: 20 })
  expect(watched.current.objects.size).toBe(0)
  await mkdir(later)
  await writeFile(join(later, 'a.yaml'), virtualService('a'))
  await vi.waitFor(() => expect(watched?.current.objects.size).toBe(1), patience)
})
