import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ConfigList, MeshStatus, RegistryList } from '@weft/config/pilot-api'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

let folder: string
const children: ChildProcess[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-pilot-main-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await rm(folder, { recursive: true, force: true })
})

interface Pilot {
  child: ChildProcess
  /** Messages of its log, as they come. */
  log: { level: string; msg: string; admin?: string }[]
}

function run(...flags: string[]): Pilot {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
  children.push(child)
  const log: Pilot['log'] = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line.startsWith('{') ? JSON.parse(line) : { level: 'text', msg: line })
  })
  return { child, log }
}

/** A Pilot on free ports that watches the folder, and the URL of its API. */
async function started(...more: string[]): Promise<Pilot & { url: string }> {
  const flags = ['--plaintext-grpc-address', '127.0.0.1:0', '--admin-address', '127.0.0.1:0', '--config-dir', folder, ...more]
  const pilot = run(...flags)
  const url = await vi.waitFor(() => {
    const admin = pilot.log.find(({ msg }) => msg === 'pilot serves')?.admin
    if (admin === undefined) throw new Error(JSON.stringify(pilot.log))
    return admin
  }, 15_000)
  return { ...pilot, url }
}

const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: { ports: [{ name: http, port: 9080 }] }\n'
const routed = (host: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: reviews }\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - destination:\n        host: ${host}\n`

async function get<T>(url: string): Promise<T> {
  const body: T = JSON.parse(await (await fetch(url)).text())
  return body
}

function problems({ log }: Pilot): string[] {
  return log.filter(({ level }) => level === 'error' || level === 'warn').map(({ msg }) => msg)
}

test('bad input of each kind is one clear line with its place and what to do, and the rest goes on', async () => {
  await writeFile(join(folder, 'service.yaml'), service)
  const broken = join(folder, 'broken.yaml')
  const unknown = join(folder, 'unknown.yaml')
  const nowhere = join(folder, 'nowhere.yaml')
  await writeFile(broken, 'apiVersion: v1\nkind: [Service\nmetadata: {}\n')
  await writeFile(unknown, routed('reviews').replace('http:', 'htp:').replace('{ name: reviews }', '{ name: other }'))
  await writeFile(nowhere, routed('reviewz'))
  const pilot = await started()
  expect(problems(pilot).sort()).toEqual([
    expect.stringMatching(new RegExp(`^${broken}:\\d: broken YAML: .+\\(this document is left out; mend it at this line\\)$`)),
    `${nowhere}:9: spec.http[0].route[0].destination.host: no service has the host reviewz.default.svc.cluster.local (requests to it answer 503 until a Service or ServiceEntry has it)`,
    `${unknown}:6: spec.htp: unknown field "htp" (did you mean "http"?)`,
  ])
  const status = await get<MeshStatus>(`${pilot.url}/v1/status`)
  expect(status).toMatchObject({ objects: 2, registries: [{ name: 'file', synced: true }] })
  expect((await fetch(`${pilot.url}/healthz/ready`)).status).toBe(200)
  expect(await (await fetch(`${pilot.url}/metrics`)).text()).toContain('pilot_config_problems{severity="error"} 2')
  await writeFile(nowhere, routed('reviews'))
  await vi.waitFor(async () => {
    const { problems: left } = await get<MeshStatus>(`${pilot.url}/v1/status`)
    expect(left).toHaveLength(2)
  }, 5_000)
})

test('a half-written file keeps what was in force, and says its line once', async () => {
  const file = join(folder, 'mesh.yaml')
  await writeFile(file, `${service}---\n${routed('reviews')}`)
  const pilot = await started()
  await writeFile(file, `${service}---\n${routed('reviews').slice(0, 60)}"`)
  await vi.waitFor(() => expect(problems(pilot)).toEqual([expect.stringMatching(/mesh\.yaml:\d+: broken YAML/)]), 5_000)
  const { items } = await get<ConfigList>(`${pilot.url}/v1/config/virtualservice`)
  expect(items).toHaveLength(1)
  await appendFile(file, '\n')
  await writeFile(file, `${service}---\n${routed('reviews')}`)
  await vi.waitFor(async () => {
    expect((await get<MeshStatus>(`${pilot.url}/v1/status`)).problems).toEqual([])
  }, 5_000)
  expect(problems(pilot)).toHaveLength(1)
})

test.for([
  ['no address for proxies', [], /no address to serve proxies on \(give --grpc-address or --plaintext-grpc-address\)/],
  [
    'plaintext beyond loopback',
    ['--plaintext-grpc-address', '0.0.0.0:0'],
    /--plaintext-grpc-address 0\.0\.0\.0:0 is not on loopback/,
  ],
  ['mutual TLS without Citadel', ['--grpc-address', '127.0.0.1:0'], /--grpc-address needs --citadel-address/],
  [
    'no mesh configuration',
    ['--plaintext-grpc-address', '127.0.0.1:0', '--mesh-config', '/nowhere.yaml'],
    /\/nowhere\.yaml: the mesh configuration cannot be read/,
  ],
] as const)('%s: one line, and exit code 1', async ([, flags, message]) => {
  const { child, log } = run('--admin-address', '127.0.0.1:0', ...flags)
  await once(child, 'exit')
  expect(child.exitCode).toBe(1)
  expect(log.filter(({ level }) => level === 'fatal').map(({ msg }) => msg)).toEqual([expect.stringMatching(message)])
})

test('a port in use is named, with what to do', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const { child, log } = run('--plaintext-grpc-address', '127.0.0.1:0', '--admin-address', `127.0.0.1:${port}`)
  await once(child, 'exit')
  taken.close()
  expect(child.exitCode).toBe(1)
  expect(log.some(({ msg }) => msg.includes(`cannot listen on 127.0.0.1:${port}`) && msg.includes('--admin-address'))).toBe(true)
})

test('SIGTERM ends it with code 0', async () => {
  const { child } = await started()
  child.kill('SIGTERM')
  await once(child, 'exit')
  expect(child.exitCode).toBe(0)
})

test('a cluster of Kubernetes is followed for services and configuration, and told what became of that', async () => {
  const cluster = await StubApiServer.start()
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(
    kubeconfig,
    `current-context: a
contexts: [{ name: a, context: { cluster: a } }]
clusters: [{ name: a, cluster: { server: "${cluster.url}" } }]
`,
  )
  const meta = { name: 'reviews', namespace: 'default' }
  cluster.put('/api/v1/services', { metadata: meta, spec: { ports: [{ name: 'http', port: 9080 }] } })
  cluster.put('/apis/discovery.k8s.io/v1/endpointslices', {
    metadata: { name: 'reviews-a', namespace: 'default', labels: { 'kubernetes.io/service-name': 'reviews' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 9081 }],
    endpoints: [{ addresses: ['10.0.0.1'] }],
  })
  cluster.put('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: 'virtualservices.networking.istio.io' },
    spec: {
      group: 'networking.istio.io',
      names: { kind: 'VirtualService', plural: 'virtualservices' },
      versions: [{ name: 'v1', served: true }],
    },
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  })
  const virtualServices = '/apis/networking.istio.io/v1/virtualservices'
  const spec = { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'nowhere' } }] }] }
  cluster.put(virtualServices, { metadata: { ...meta, generation: 1 }, spec })
  try {
    const platform = `kubernetes=?kubeconfig=${kubeconfig}`
    const { url } = await started('--registry', platform, '--config-source', platform)
    const { services } = await get<RegistryList>(`${url}/v1/registry`)
    expect(services).toMatchObject([{ name: 'reviews', endpoints: [{ address: '10.0.0.1', port: 9081, servicePort: 9080 }] }])
    const { items } = await get<ConfigList>(`${url}/v1/config`)
    expect(items).toMatchObject([
      { object: 'VirtualService/default/reviews', file: 'virtualservices.networking.istio.io/default/reviews' },
    ])
    const status = await get<MeshStatus>(`${url}/v1/status`)
    expect(status.problems.map(({ message }) => message).join()).toContain('nowhere')
    await vi.waitFor(() => {
      const written = cluster.get(virtualServices, 'default', 'reviews')?.['status']
      expect(written).toMatchObject({ observedGeneration: 1, conditions: [{ type: 'Reconciled', status: 'True' }] })
    }, 15_000)
  } finally {
    await cluster.stop()
  }
})
