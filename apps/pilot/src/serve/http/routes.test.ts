import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConfigObject } from '@weft/config/objects'
import type { ApplyEvent } from '@weft/config/pilot-api'
import { WeftError } from '@weft/service/errors'
import { createLogger } from '@weft/service/logger'
import { Registry } from '@weft/service/metrics'
import fastify, { type FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { findDanglingReferences } from '../../model/references.ts'
import { Snapshots } from '../../model/snapshots.ts'
import { FileRegistry } from '../../registries/file/file-registry.ts'
import { ConfigSource } from '../../sources/config-source.ts'
import { MeshProblems } from '../../status/mesh-problems.ts'
import { ProxyStatuses } from '../../status/proxy-statuses.ts'
import { apiRoutes } from './routes.ts'
import { writeGuard } from './write-guard.ts'

let root: string
let own: string
let users: string
let server: FastifyInstance
let source: ConfigSource
let snapshots: Snapshots
let statuses: ProxyStatuses

async function start(adminAddress = '127.0.0.1:0', tokenFile?: string): Promise<void> {
  const registry = new FileRegistry(defaultMeshSettings)
  snapshots = new Snapshots(defaultMeshSettings, [registry])
  statuses = new ProxyStatuses(() => snapshots.current)
  const problems = new MeshProblems(createLogger('test', 'silent'), new Registry())
  source = await ConfigSource.open({
    folders: [own, users],
    onError: (error) => expect.unreachable(String(error)),
    onChange: (config) => {
      const objects = new Map<string, ConfigObject>()
      for (const [key, loaded] of config.objects) if (loaded.type === 'object') objects.set(key, loaded.object)
      registry.update(objects)
      snapshots.setObjects(objects)
      problems.set([...config.problems, ...findDanglingReferences(snapshots.rebuild())])
    },
  })
  server = fastify()
  server.setErrorHandler(async (thrown, _request, reply) => {
    const error = WeftError.from(thrown)
    const status = { unauthenticated: 401, permission_denied: 403, not_found: 404, unavailable: 503 }[String(error.code)] ?? 400
    return reply.code(status).send({ error: error.describe(), code: error.code })
  })
  const guard = writeGuard(adminAddress, tokenFile)
  await apiRoutes(server, { source, snapshot: () => snapshots.current, statuses, problems, registries: [registry], guard })
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weft-pilot-'))
  own = join(root, 'own')
  users = join(root, 'users')
  await mkdir(users)
})
afterEach(async () => {
  await server.close()
  await source.close()
  await rm(root, { recursive: true, force: true })
})

const service = `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { ports: [{ name: http, port: 9080 }] }
`
const routed = (weight: number, host = 'reviews'): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: ${host}
      weight: ${weight}
`

async function apply(
  payload: string,
  query = '',
): Promise<{ status: number; body: Record<string, unknown> & { results: unknown; problems: { message: string }[] } }> {
  const headers = { 'content-type': 'application/yaml', host: '127.0.0.1' }
  const response = await server.inject({ method: 'POST', url: `/v1/apply${query}`, headers, payload })
  return { status: response.statusCode, body: response.json() }
}

test('what is applied is in force at once, in a file of its own, and survives a restart', async () => {
  await start()
  const { status, body } = await apply(`${service}---\n${routed(100)}`)
  expect(status).toBe(200)
  expect(body.results).toEqual([
    { object: 'Service/default/reviews', action: 'created', file: join(own, 'service_default_reviews.yaml') },
    { object: 'VirtualService/default/reviews', action: 'created', file: join(own, 'virtualservice_default_reviews.yaml') },
  ])
  expect(snapshots.current.virtualServices).toHaveLength(1)
  expect(body['generation']).toBe(snapshots.current.version)
  expect((await apply(routed(100))).body.results).toMatchObject([{ action: 'unchanged' }])
  expect((await apply(routed(50))).body.results).toMatchObject([{ action: 'configured' }])
  expect((await readdir(own)).sort()).toEqual(['service_default_reviews.yaml', 'virtualservice_default_reviews.yaml'])
  await server.close()
  await source.close()
  await start()
  expect(snapshots.current.virtualServices[0]?.spec.http[0]?.route[0]?.weight).toBe(50)
})

test('all or nothing: one bad object refuses the request, all problems are told with their lines', async () => {
  await start()
  const bad = routed(100).replace('weight', 'wieght').replace('hosts:', 'hots:')
  const { status, body } = await apply(`${service}---\n${bad}`, '?file=a.yaml')
  expect(status).toBe(400)
  expect(body['error']).toBe('a.yaml:11: spec.hots: unknown field "hots" (did you mean "hosts"?) (and 1 more)')
  expect(body.problems.map(({ message }) => message)).toEqual(['unknown field "hots"', 'unknown field "wieght"'])
  expect(source.current.objects.size).toBe(0)
})

test('problems name the files of the sender', async () => {
  await start()
  const payload = JSON.stringify({
    files: [
      { name: 'x/a.yaml', content: service },
      { name: 'x/b.yaml', content: 'kind: [' },
    ],
  })
  const { status, body } = await apply(payload)
  expect(status).toBe(400)
  expect(body['error']).toMatch(/^x\/b\.yaml:1: broken YAML/)
})

test('a host that does not exist is a warning, and applied', async () => {
  await start()
  const { status, body } = await apply(`${service}---\n${routed(100, 'reviewz')}`)
  expect(status).toBe(200)
  expect(body.problems).toMatchObject([
    {
      severity: 'warning',
      file: '<request>',
      line: 15,
      path: 'spec.http[0].route[0].destination.host',
      object: 'VirtualService/default/reviews',
    },
  ])
})

test('a dry run changes nothing', async () => {
  await start()
  const { body } = await apply(service, '?dry_run=true')
  expect(body).toMatchObject({ dryRun: true, results: [{ object: 'Service/default/reviews', action: 'created' }] })
  expect(source.current.objects.size).toBe(0)
})

test('an object in a file of the own folder is replaced in its place there; the rest of the file stays', async () => {
  await mkdir(own)
  const file = join(own, 'mesh.yaml')
  await writeFile(file, `# the service\n${service}---\n# the routes\n${routed(100)}---\n${service.replace('reviews', 'ratings')}`)
  await start()
  await apply(routed(70))
  expect(await readdir(own)).toEqual(['mesh.yaml'])
  const text = await readFile(file, 'utf8')
  expect(text).toContain('weight: 70')
  expect(text).not.toContain('weight: 100')
  expect(text).toContain('# the service')
  expect([...source.current.objects.keys()].sort()).toEqual([
    'Service/default/ratings',
    'Service/default/reviews',
    'VirtualService/default/reviews',
  ])
  expect(source.current.problems).toEqual([])
  const gone = await server.inject({
    method: 'DELETE',
    url: '/v1/config/virtualservice/default/reviews',
    headers: { host: 'localhost' },
  })
  expect(gone.json()).toMatchObject({ results: [{ object: 'VirtualService/default/reviews', action: 'deleted' }] })
  expect([...source.current.objects.keys()].sort()).toEqual(['Service/default/ratings', 'Service/default/reviews'])
})

test("an object of the user's folder is overridden, not rewritten, and comes back when the override is deleted", async () => {
  await writeFile(join(users, 'a.yaml'), routed(100))
  await start()
  expect((await apply(routed(10))).body.results).toMatchObject([
    { action: 'configured', file: join(own, 'virtualservice_default_reviews.yaml') },
  ])
  expect(snapshots.current.virtualServices[0]?.spec.http[0]?.route[0]?.weight).toBe(10)
  const url = '/v1/config/VirtualService/default/reviews'
  expect((await server.inject({ method: 'DELETE', url, headers: { host: 'localhost' } })).statusCode).toBe(200)
  expect(snapshots.current.virtualServices[0]?.spec.http[0]?.route[0]?.weight).toBe(100)
  const refused = await server.inject({ method: 'DELETE', url, headers: { host: 'localhost' } })
  expect(refused.json()).toMatchObject({ error: expect.stringContaining(`${join(users, 'a.yaml')}:1`) })
})

test('Mixer kinds are kept for Mixer; kinds of others are passed over with a notice', async () => {
  await start()
  const rule = 'apiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: { name: deny }\nspec: { match: "true" }\n'
  const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n'
  const { body } = await apply(`${rule}---\n${deployment}`)
  expect(body.results).toMatchObject([{ object: 'rule/default/deny', action: 'created' }])
  expect(body.problems).toMatchObject([{ severity: 'notice' }])
  expect(await readFile(join(own, 'rule_default_deny.yaml'), 'utf8')).toBe(rule)
  expect((await apply(deployment)).status).toBe(400)
})

test('get gives objects as they were written, by kind, namespace and name', async () => {
  await start()
  await apply(`${service}---\n${routed(100)}`)
  const get = async (url: string): Promise<unknown> => (await server.inject({ url })).json()
  expect(await get('/v1/config')).toMatchObject({ items: [{ kind: 'Service' }, { kind: 'VirtualService' }] })
  expect(await get('/v1/config/virtualservice/default/reviews')).toMatchObject({
    items: [{ object: 'VirtualService/default/reviews', line: 1, value: { spec: { hosts: ['reviews'] } } }],
  })
  expect((await server.inject({ url: '/v1/config/virtualservice/default/none' })).statusCode).toBe(404)
  expect(await get('/v1/registry')).toMatchObject({ services: [{ host: 'reviews.default.svc.cluster.local', endpoints: [] }] })
  expect(await get('/v1/status')).toMatchObject({ objects: 2, problems: [], registries: [{ name: 'file', synced: true }] })
})

test('wait tells each acknowledgement, and which proxy refused what and why, with the line of the object', async () => {
  await start()
  await apply(service)
  const a = { connectionId: '1', nodeId: 'sidecar~a' }
  const b = { connectionId: '2', nodeId: 'sidecar~b' }
  for (const node of [a, b]) {
    statuses.connected(node, { namespace: 'default', version: '', isWeft: true })
    statuses.sent(node, 'RouteConfiguration', snapshots.current.version, 'n0')
    statuses.acked(node, 'RouteConfiguration', 'n0')
  }
  snapshots.subscribe(({ snapshot }) => {
    for (const node of [a, b]) statuses.sent(node, 'RouteConfiguration', snapshot.version, 'n1')
  })
  const answer = server.inject({
    method: 'POST',
    url: '/v1/apply?wait=true',
    headers: { host: '127.0.0.1' },
    payload: routed(90),
  })
  // inject sends when its result is asked for.
  const response = answer.then(({ payload }) =>
    payload
      .trim()
      .split('\n')
      .map((line): ApplyEvent => JSON.parse(line)),
  )
  await vi.waitFor(() => expect(statuses.progress(snapshots.current.version).waiting).toHaveLength(2), 10_000)
  statuses.acked(a, 'RouteConfiguration', 'n1')
  const resource = { name: '9080', objects: ['VirtualService/default/reviews'] }
  statuses.nacked(b, 'RouteConfiguration', 'n1', 'weights are wrong', [resource])
  const events = await response
  const file = join(own, 'virtualservice_default_reviews.yaml')
  expect(events[0]).toMatchObject({ type: 'applied', results: [{ action: 'created' }] })
  expect(events).toContainEqual({
    type: 'nack',
    node: 'sidecar~b',
    resourceType: 'RouteConfiguration',
    resource: '9080',
    message: 'weights are wrong',
    objects: [{ object: 'VirtualService/default/reviews', file, line: 1 }],
  })
  expect(events.at(-1)).toEqual({ type: 'done', acked: 1, total: 2, nacked: ['sidecar~b'], waiting: [] })
  const status = (await server.inject({ url: '/v1/proxy-status' })).json()
  expect(status).toMatchObject({
    proxies: [
      { node: 'sidecar~a', types: { RouteConfiguration: { state: 'SYNCED' } } },
      {
        node: 'sidecar~b',
        types: { RouteConfiguration: { state: 'ERROR', error: 'weights are wrong' } },
        nacks: [{ resource: '9080' }],
      },
    ],
  })
})

test('wait ends when its time is over, and names who has not answered', async () => {
  await start()
  const node = { connectionId: '1', nodeId: 'sidecar~slow' }
  statuses.connected(node, { namespace: 'default', version: '', isWeft: false })
  statuses.sent(node, 'Cluster', 1, 'n0')
  const answer = await server.inject({
    method: 'POST',
    url: '/v1/apply?wait=true&timeout_s=0.05',
    headers: { host: '127.0.0.1' },
    payload: service,
  })
  expect(
    answer.payload
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .at(-1),
  ).toEqual({
    type: 'done',
    acked: 0,
    total: 1,
    nacked: [],
    waiting: ['sidecar~slow'],
  })
})

test('with a token file only its bearer may write, and it may appear later', async () => {
  const tokenFile = join(root, 'operator.token')
  await start('0.0.0.0:0', tokenFile)
  const write = async (authorization?: string): Promise<number> => {
    const headers = { host: 'pilot:15014', ...(authorization === undefined ? {} : { authorization }) }
    return (await server.inject({ method: 'POST', url: '/v1/apply', headers, payload: service })).statusCode
  }
  expect(await write()).toBe(401)
  expect(await write('Bearer secret')).toBe(503)
  await writeFile(tokenFile, 'secret\n')
  expect(await write('Bearer wrong')).toBe(403)
  expect(await write('Bearer secret')).toBe(200)
})

test('without a token file nothing is written from beyond loopback, nor from a page in a browser', async () => {
  await start('0.0.0.0:0')
  expect((await apply(service)).status).toBe(403)
  await server.close()
  await source.close()
  await start('127.0.0.1:0')
  const write = async (headers: Record<string, string>): Promise<number> =>
    (await server.inject({ method: 'POST', url: '/v1/apply', headers, payload: service })).statusCode
  expect(await write({ host: '127.0.0.1:15014', origin: 'http://evil.example' })).toBe(403)
  expect(await write({ host: 'evil.example:15014' })).toBe(403)
  expect(await write({ host: '127.0.0.1:15014' })).toBe(200)
})
