import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLogger } from '@weft/service/logger'
import { expect, onTestFinished, test, vi } from 'vitest'
import { serverCertificate } from '../testing/server-certificate.ts'
import { KubernetesCredentials } from './kubernetes-credentials.ts'

function follow(url: string): KubernetesCredentials {
  const client = new KubernetesClient(accessTo(url))
  const credentials = new KubernetesCredentials({ client, namespaces: [], logger: createLogger('test', 'silent') })
  onTestFinished(() => client.close())
  onTestFinished(() => credentials.close())
  return credentials
}

test('Secrets that hold a credential are followed; others are not kept', async () => {
  const server = await StubApiServer.start()
  onTestFinished(() => server.stop())
  const { chainPem, privateKeyPem } = await serverCertificate('shop.example')
  const base64 = (value: string): string => Buffer.from(value).toString('base64')
  const put = (name: string, data: Record<string, string>): void => {
    const encoded = Object.fromEntries(Object.entries(data).map(([entry, value]) => [entry, base64(value)]))
    server.put('/api/v1/secrets', { metadata: { name, namespace: 'web' }, data: encoded })
  }
  put('shop', { 'tls.crt': chainPem, 'tls.key': privateKeyPem })
  put('broken', { 'tls.crt': chainPem, 'tls.key': 'none' })
  put('password', { password: 'x' })
  const credentials = follow(server.url)
  await vi.waitFor(() => expect([...credentials.current.keys()]).toEqual(['web//shop']), { timeout: 15_000 })
  const { version } = credentials.current.get('web//shop')!
  expect(server.requests.some((request) => request.includes('helm.sh'))).toBe(true)

  const next = await serverCertificate('shop.example')
  let changed = 0
  credentials.subscribe(() => changed++)
  put('shop', { 'tls.crt': next.chainPem, 'tls.key': next.privateKeyPem })
  await vi.waitFor(() => expect(changed).toBeGreaterThan(0), { timeout: 15_000 })
  expect(credentials.current.get('web//shop')?.version).not.toBe(version)
})

test('the API server says who may have the credentials of a namespace, once a minute for each account', async () => {
  const reviews: string[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      response.setHeader('content-type', 'application/json')
      if (request.method !== 'POST') return response.end('{"metadata":{},"items":[]}')
      const { user, resourceAttributes } = JSON.parse(body).spec
      reviews.push(`${user} ${resourceAttributes.verb} ${resourceAttributes.resource} of ${resourceAttributes.namespace}`)
      return response.end(JSON.stringify({ status: { allowed: user === 'system:serviceaccount:web:gateway' } }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.closeAllConnections())
  onTestFinished(() => void server.close())
  const address = server.address()
  const credentials = follow(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`)
  expect(await credentials.mayRead('web', 'gateway')).toBe(true)
  expect(await credentials.mayRead('web', 'gateway')).toBe(true)
  expect(await credentials.mayRead('web', 'other')).toBe(false)
  expect(reviews).toEqual([
    'system:serviceaccount:web:gateway list secrets of web',
    'system:serviceaccount:web:other list secrets of web',
  ])
})
