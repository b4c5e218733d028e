import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { FileSource } from './file-source.ts'

const folders: string[] = []
let source: FileSource | null = null
afterEach(async () => {
  source?.close()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'weft-file-source-'))
  folders.push(made)
  return made
}

test('a file whose folder tells nothing of its changes is read at an interval', async () => {
  const [far, near] = [await folder(), await folder()]
  const write = (names: string[]) => {
    const type = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'
    const resources = names.map((name) => ({ '@type': type, name }))
    return writeFile(join(far, 'cds.json'), JSON.stringify({ resources }))
  }
  await write(['a'])
  await symlink(join(far, 'cds.json'), join(near, 'cds.json'))
  const seen: string[][] = []
  source = new FileSource({
    path: join(near, 'cds.json'),
    watchedDirectory: '',
    pollMs: 20,
    typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
    unknown: undefined,
    receive: (_version, resources) => void seen.push(resources.map(({ name }) => name)),
    failed: () => {},
  })
  await expect.poll(() => seen).toEqual([['a']])
  await write(['a', 'b'])
  await expect.poll(() => seen.at(-1)).toEqual(['a', 'b'])
})

test('a field that the API does not have is left out and told, or refused', async () => {
  const path = join(await folder(), 'cds.json')
  const cluster = { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: 'a', nonsense: 1 }
  await writeFile(path, JSON.stringify({ resources: [cluster] }))
  const told: string[] = []
  const read = (unknown: ((text: string) => void) | undefined): Promise<string> =>
    new Promise((resolve) => {
      source = new FileSource({
        path,
        watchedDirectory: '',
        pollMs: 0,
        typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
        unknown,
        receive: (_version, resources) => resolve(resources.map(({ name }) => name).join()),
        failed: (error) => resolve(error.describe()),
      })
    })
  expect(await read((text) => told.push(text))).toBe('a')
  expect(told).toEqual([expect.stringMatching(/cds\.json:1: resources\[0\]\.nonsense: unknown field in envoy\.config\.cluster/)])
  source?.close()
  expect(await read(undefined)).toMatch(/nonsense: unknown field/)
})
