import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLogger } from '@weft/service/logger'
import { expect, onTestFinished, test, vi } from 'vitest'
import { defaultMeshSettings } from '../model/mesh-settings.ts'
import { openConfigSource } from './open.ts'

const virtualServices = '/apis/networking.istio.io/v1/virtualservices'
const proxies = {
  progress: () => ({ settled: [], refused: [], waiting: [] }),
  nacks: () => [],
  onProgress: () => () => undefined,
}

/** An API server with an object for all control planes, and one for each of two. */
async function cluster() {
  const server = await StubApiServer.start()
  const folder = await mkdtemp(join(tmpdir(), 'weft-source-'))
  onTestFinished(async () => {
    await server.stop()
    await rm(folder, { recursive: true })
  })
  server.put('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: 'virtualservices.networking.istio.io' },
    spec: {
      group: 'networking.istio.io',
      names: { kind: 'VirtualService', plural: 'virtualservices' },
      versions: [{ name: 'v1', served: true }],
    },
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  })
  for (const [name, labels] of Object.entries({
    'of-all': {},
    'of-default': { 'istio.io/rev': 'default' },
    'of-canary': { 'istio.io/rev': 'canary' },
  })) {
    const spec = { hosts: [name], http: [{ route: [{ destination: { host: name } }] }] }
    server.put(virtualServices, { metadata: { name, namespace: 'default', generation: 1, labels }, spec })
  }
  const kubeconfig = join(folder, 'config')
  const clusters = [{ name: 'c', cluster: { server: server.url } }]
  const contexts = [{ name: 'c', context: { cluster: 'c' } }]
  await writeFile(kubeconfig, JSON.stringify({ 'current-context': 'c', clusters, contexts }))
  const follow = async (revision: string): Promise<void> => {
    const context = { mesh: defaultMeshSettings, logger: createLogger('test', 'silent'), revision }
    const { provider, writeStatus } = await openConfigSource(`kubernetes=?kubeconfig=${kubeconfig}`, context)
    const writer = writeStatus(proxies, () => 1)
    onTestFinished(async () => {
      await writer.close()
      await provider.close()
    })
  }
  const isWritten = (name: string): boolean => server.get(virtualServices, 'default', name)?.['status'] !== undefined
  return { follow, written: () => ['of-all', 'of-default', 'of-canary'].filter(isWritten) }
}

test.for([
  ['default', ['of-all', 'of-default']],
  ['canary', ['of-all', 'of-canary']],
] as const)('a control plane alone writes back to what is for all, and for its own revision: %s', async ([revision, names]) => {
  const { follow, written } = await cluster()
  await follow(revision)
  await vi.waitFor(() => expect(written()).toEqual(names), 15_000)
})

test('of two control planes one writes back to what is for all, and each to its own', async () => {
  const { follow, written } = await cluster()
  await follow('default')
  await follow('canary')
  await vi.waitFor(() => expect(written()).toEqual(['of-all', 'of-default', 'of-canary']), 15_000)
})
