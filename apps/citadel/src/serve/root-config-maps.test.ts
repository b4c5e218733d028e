import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLifecycle } from '@weft/service/lifecycle'
import { createLogger } from '@weft/service/logger'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Authority } from '../authority/authority.ts'
import { CurrentAuthority } from '../authority/current.ts'
import { keepRootConfigMaps } from './root-config-maps.ts'

test('every namespace has the roots in a ConfigMap: a new one too, after a rotation, and when somebody takes it away', async () => {
  const server = await StubApiServer.start()
  onTestFinished(() => server.stop())
  const client = new KubernetesClient(accessTo(server.url))
  onTestFinished(() => client.close())
  const logger = createLogger('roots-test', 'fatal')
  const lifecycle = createLifecycle('roots-test', logger)
  onTestFinished(() => lifecycle.stop('end of test'))

  const makeNamespace = (name: string) =>
    client.call({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name } } })
  const path = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps/roots`
  const has = async (namespace: string, roots: string): Promise<void> =>
    expect(await client.call({ path: path(namespace) })).toMatchObject({ data: { 'root-cert.pem': roots } })
  const authority = new CurrentAuthority({ bundlePem: 'first' } as Authority)
  await makeNamespace('default')
  keepRootConfigMaps({ client, name: 'roots', authority, lifecycle, logger })
  await vi.waitFor(() => has('default', 'first'), 15_000)
  await makeNamespace('shop')
  await vi.waitFor(() => has('shop', 'first'), 15_000)
  authority.set({ bundlePem: 'second' } as Authority)
  await vi.waitFor(async () => {
    await has('default', 'second')
    await has('shop', 'second')
  }, 15_000)
  await client.call({ method: 'DELETE', path: path('shop') })
  await vi.waitFor(() => has('shop', 'second'), 15_000)
}, 60_000)
