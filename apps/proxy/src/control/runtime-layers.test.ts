import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LayeredRuntime } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Runtime, type RuntimeValues } from '../plan/runtime.ts'
import { RuntimeLayers } from './runtime-layers.ts'

function folder(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'weft-runtime-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

type Layer = NonNullable<LayeredRuntime['layers']>[number]['layerSpecifier']

function layersOf(specifiers: Record<string, Layer>, changed: (values: RuntimeValues) => void = () => undefined) {
  const layers = Object.entries(specifiers).map(([name, layerSpecifier]) => ({ name, layerSpecifier }))
  const made = new RuntimeLayers(LayeredRuntime.fromPartial({ layers }), { serviceCluster: 'shop', changed })
  onTestFinished(() => made.close())
  return made
}

function disk(symlinkRoot: string, subdirectory = '', appendServiceCluster = false): Layer {
  return { $case: 'diskLayer', value: { symlinkRoot, subdirectory, appendServiceCluster } }
}

function fixed(value: Record<string, unknown>): Layer {
  return { $case: 'staticLayer', value }
}

test('a tree gives dotted keys, numbers and booleans also where they are text, and shares', () => {
  const layers = layersOf({
    one: fixed({ a: { b: { c: 1 } }, text: '7', flag: 'TRUE', odd: '0x10', part: { numerator: 5, denominator: 'TEN_THOUSAND' } }),
  })
  expect(layers.values()).toEqual({ 'a.b.c': 1, text: 7, flag: true, odd: '0x10', part: { share: 0.0005 } })
})

test('a key that is a member of every object is a key like others', () => {
  const layers = layersOf({ one: fixed({ toString: 3, ['__proto__']: 4 }) })
  const runtime = new Runtime()
  runtime.replace(layers.values())
  expect(runtime.number('toString', 1)).toBe(3)
  expect(runtime.number('valueOf', 1)).toBe(1)
})

test.each([{ list: [1] }, { nothing: null }, { deep: { list: [] } }])('%j is refused', (tree) => {
  expect(() => layersOf({ one: fixed(tree) })).toThrow('Invalid runtime entry value for')
})

test('files of a folder are values, their lines with # comments; folders of the service cluster override', () => {
  const root = folder({ 'v/x': '# why\n12 \n\n', 'v/health/y': 'true', 'v/.hidden': 'z', 'o/shop/x': '13', 'o/other/x': '14' })
  const layers = layersOf({ base: disk(root, 'v'), over: disk(root, 'o', true), gone: disk(root, 'no') })
  expect(layers.layers.map(({ name }) => name)).toEqual(['base', 'over'])
  expect(layers.values()).toEqual({ x: 13, 'health.y': true, '.hidden': 'z' })
})

test('a folder that cannot be read whole is no layer', () => {
  const root = folder({ a: '1' })
  symlinkSync(root, join(root, 'loop'))
  expect(layersOf({ one: disk(root) }).layers).toEqual([])
})

test('moving a link into place swaps the values', async () => {
  const root = folder({ 'v1/x': '1', 'v2/x': '2' })
  const current = join(root, 'current')
  symlinkSync(join(root, 'v1'), current)
  const changed = vi.fn()
  const layers = layersOf({ one: disk(current) }, changed)
  expect(layers.values()).toEqual({ x: 1 })
  symlinkSync(join(root, 'v2'), join(root, 'next'))
  renameSync(join(root, 'next'), current)
  await vi.waitFor(() => expect(changed).toHaveBeenCalledWith({ x: 2 }))
})

test('a folder in a folder that is not there is refused', () => {
  expect(() => layersOf({ one: disk('/no/such/folder') })).toThrow('unable to watch')
})

test('higher layers win, the admin may change its own, and a control plane one of its', () => {
  const layers = layersOf({
    low: fixed({ x: 1, y: 1 }),
    fetched: {
      $case: 'rtdsLayer',
      value: { name: 'r', rtdsConfig: { configSourceSpecifier: { $case: 'ads', value: {} } } } as never,
    },
    admin: { $case: 'adminLayer', value: {} },
  })
  layers.replace('fetched', { x: 2, z: 2 })
  layers.modify({ x: '3' })
  expect(layers.values()).toEqual({ x: 3, y: 1, z: 2 })
  layers.modify({ x: '' })
  layers.replace('fetched', {})
  expect(layers.values()).toEqual({ x: 1, y: 1 })
})

test('a number is per cent, whatever the unit of the default; other values leave the default', () => {
  const runtime = new Runtime()
  runtime.replace({ half: 50, much: 500, part: { share: 0.25 }, text: 'x', flag: true, negative: -1, broken: 1.5 })
  const shares = ['half', 'much', 'part', 'text', 'flag', 'negative', 'broken', 'none'].map((key) => runtime.share(key, 0.125))
  expect(shares).toEqual([0.5, 1, 0.25, 0.125, 0.125, 0.125, 0.01, 0.125])
})
