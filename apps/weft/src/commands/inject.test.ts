import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { runWeft } from '../main.ts'
// Loaded here, not within a test's time.
import './inject.ts'

async function run(file: string, ...options: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'weft-inject-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const [printed, told]: [string[], string[]] = [[], []]
  await writeFile(join(folder, 'x.yaml'), file)
  await writeFile(join(folder, 'values.yaml'), 'global: {hub: registry.example, tag: "1.0"}')
  const terminal = {
    print: (line: string) => printed.push(line),
    tell: (line: string) => told.push(line),
    progress: () => {},
    style: (_: string, text: string) => text,
  }
  const args = options.map((option) => option.replace('FOLDER', folder))
  const code = await runWeft(['inject', '-f', join(folder, 'x.yaml'), ...args], terminal)
  return { code, out: printed.join('\n'), told: told.join('\n') }
}

const pod = (name: string, more = '') =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec:\n  ${more}\n  containers: [{name: app, image: app}]\n`

test('prints the workloads with sidecars, by the values of a file and of --set', async () => {
  const { code, out } = await run(pod('a'), '--values', 'FOLDER/values.yaml', '--set', 'global.tag=2.0', '--revision', 'canary')
  expect(code).toBe(0)
  const documents = parseAllDocuments(out)
  const [value] = Array.isArray(documents) ? documents.map((document) => document.toJS() as unknown) : []
  expect(value).toMatchObject({
    metadata: { annotations: { 'istio.io/rev': 'canary' } },
    spec: { initContainers: [{ name: 'istio-init' }, { name: 'istio-proxy', image: 'registry.example/proxy:2.0' }] },
  })
})

test('what is left alone is told, and passes', async () => {
  const { code, out, told } = await run(`${pod('a', 'hostNetwork: true')}---\n${pod('b')}`, '--no-native-sidecars')
  expect([code, told]).toEqual([0, expect.stringMatching(/skipped: .*x.yaml: Pod a is not injected: it has host networking/)])
  expect(out.match(/name: istio-proxy/g)).toHaveLength(1)
})

test('what is wrong is told with file and line, or as the option, and nothing is printed', async () => {
  expect(await run('apiVersion: v1\nkind: Pod\nspec: 3\n')).toMatchObject({
    code: 3,
    out: '',
    told: expect.stringMatching(/x.yaml:3/),
  })
  expect(await run(pod('a'), '--set', 'global.nonsense=1')).toMatchObject({ code: 3, out: '' })
  expect(await run(pod('a'), '--values', '/nowhere')).toMatchObject({ code: 1, out: '' })
})
