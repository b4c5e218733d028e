import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findAccess, kubeconfigAccess, podAccess } from './access.ts'
import { KubernetesClient } from './client.ts'
import { StubApiServer } from './testing/stub-api-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-access-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function written(name: string, content: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

function kubeconfig(user: string, cluster = 'server: https://10.0.0.1:6443'): string {
  return `apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: bookinfo}}
- {name: two, context: {cluster: c}}
clusters:
- {name: c, cluster: {${cluster}}}
users:
- {name: u, user: {${user}}}
`
}

test('a kubeconfig gives server, namespace, certificates from data and files, and a token', async () => {
  await written('client.crt', 'CERT')
  const ca = Buffer.from('ROOT').toString('base64')
  const cluster = `server: "https://10.0.0.1:6443/", certificate-authority-data: ${ca}, tls-server-name: kubernetes`
  const user = `token: secret, client-certificate: client.crt, client-key-data: ${Buffer.from('KEY').toString('base64')}`
  const access = await kubeconfigAccess(await written('config', kubeconfig(user, cluster)))
  expect(access).toMatchObject({
    server: 'https://10.0.0.1:6443',
    namespace: 'bookinfo',
    serverName: 'kubernetes',
    skipVerify: false,
  })
  expect(await access.ca()).toBe('ROOT')
  expect(await access.token()).toBe('secret')
  expect(await access.clientCertificate()).toEqual({ cert: 'CERT', key: 'KEY' })
})

test('another context may be named; one without a user has no credentials', async () => {
  const access = await kubeconfigAccess(await written('config', kubeconfig('token: secret')), 'two')
  expect([access.namespace, await access.token()]).toEqual(['default', undefined])
})

test.each([
  ['exec: {command: aws}', 'server: https://a', 'users.0.user.exec.apiVersion'],
  [
    'exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Always}',
    'server: https://a',
    'the credential plugin wants to ask questions',
  ],
  ['auth-provider: {name: gcp}', 'server: https://a', 'auth-provider cannot be used'],
  ['username: me, password: x', 'server: https://a', 'username cannot be used'],
  ['token: x', 'server: https://a, proxy-url: http://p', 'proxies towards the API server are not used'],
  ['token: x', 'server: ftp://a', 'the kubeconfig cannot be used'],
  ['token: 5', 'server: https://a', 'the kubeconfig cannot be used'],
])('what cannot be used is refused with its place: %s, %s', async (user, cluster, message) => {
  const file = await written('config', kubeconfig(user, cluster))
  const refused = await kubeconfigAccess(file).catch((error: unknown) => WeftError.from(error).describe())
  expect(refused).toContain(message)
  expect(refused).toContain(file)
})

test('a context, cluster or file that is not there is told', async () => {
  const file = await written('config', kubeconfig('token: x'))
  await expect(kubeconfigAccess(file, 'three')).rejects.toThrow("there is no context 'three'")
  await expect(kubeconfigAccess(join(folder, 'absent'))).rejects.toThrow('cannot be read')
  await expect(kubeconfigAccess(await written('bad', 'a: [b'))).rejects.toThrow('cannot be read')
})

test('the credentials of a plugin go with each call, and others are had when the server refuses them', async () => {
  const server = await StubApiServer.start()
  server.put('/api/v1/services', { metadata: { name: 'a', namespace: 'default' } })
  server.refuse = ({ authorization }) => (authorization === 'Bearer second' ? undefined : 401)
  const status = '"status":{"token":"%s"}'
  const script = `#!/bin/sh
next=$(cat "$0.next" 2>/dev/null || echo first); echo second > "$0.next"
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",${status}}' "$next"
`
  await chmod(await written('plugin.sh', script), 0o700)
  const user = 'exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin.sh, interactiveMode: Never}'
  const access = await kubeconfigAccess(await written('config', kubeconfig(user, `server: "${server.url}"`)))
  const client = new KubernetesClient(access)
  const call = { path: '/api/v1/namespaces/default/services/a' }
  expect(await client.send(call)).toMatchObject({ status: 401 })
  expect(await client.send(call)).toMatchObject({ status: 200 })
  client.close()
  await server.stop()
})

test("a pod's token is read again when Kubernetes replaces it", async () => {
  await written('token', 'first\n')
  await written('ca.crt', 'ROOT')
  await written('namespace', 'bookinfo')
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }
  const access = await podAccess(env, folder)
  expect([access.server, access.namespace, await access.token()]).toEqual(['https://[fd00::1]:6443', 'bookinfo', 'first'])
  await written('token', 'second, longer\n')
  expect(await access.token()).toBe('second, longer')
})

test('KUBECONFIG is taken where none is named, and its token goes with each call', async () => {
  const server = await StubApiServer.start()
  server.put('/api/v1/services', { metadata: { name: 'a', namespace: 'default' } })
  const token = await written('token', 'first')
  const file = await written('config', kubeconfig('tokenFile: token', `server: "${server.url}"`))
  const client = new KubernetesClient(await findAccess({}, { KUBECONFIG: file }))
  const call = { path: '/api/v1/namespaces/default/services/a' }
  expect(await client.call(call)).toMatchObject({ metadata: { name: 'a' } })
  expect(server.authorization).toBe('Bearer first')
  await writeFile(token, 'second one')
  await client.call(call)
  expect(server.authorization).toBe('Bearer second one')
  await expect(client.call({ path: '/api/v1/namespaces/default/services/b' })).rejects.toThrow('404: "b" not found')
  client.close()
  await server.stop()
})
