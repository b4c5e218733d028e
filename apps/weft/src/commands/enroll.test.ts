import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { installation } from '../mesh/programs.ts'
import type { Terminal } from '../terminal.ts'
import { type EnrollOptions, enroll } from './enroll.ts'

const terminal: Terminal = { print: () => {}, tell: () => {}, progress: () => {}, style: (_, styled) => styled }
const tokenRequest = z.object({ tokens: z.array(z.object({ identity: z.string() })) })
const bootstrapSchema = z.object({
  node: z.object({
    id: z.string(),
    metadata: z.object({
      LOOPBACK: z.object({ prefix: z.string().optional(), services: z.record(z.string(), z.number()).optional() }),
    }),
  }),
})
const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.looseObject({
      extra_hosts: z.array(z.string()).optional(),
      networks: z.union([z.record(z.string(), z.object({ ipv4_address: z.string() })), z.array(z.string())]).optional(),
    }),
  ),
})

let folder: string
let citadel: Server
let options: EnrollOptions

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-enroll-'))
  citadel = createServer(async (request, response) => {
    const { tokens } = tokenRequest.parse(JSON.parse(await text(request)))
    response.end(JSON.stringify({ tokens: tokens.map(({ identity }) => ({ identity, token: `token of ${identity}` })) }))
  })
  await new Promise<void>((resolve) => citadel.listen(0, '127.0.0.1', resolve))
  const bound = citadel.address()
  await writeFile(join(folder, 'operator'), 'op')
  options = {
    config: [join(installation, 'deploy/compose/mesh'), join(installation, 'apps/bookinfo/mesh')],
    out: join(folder, 'proxies'),
    controlOut: join(folder, 'control'),
    citadel: `127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`,
    operatorTokenFile: join(folder, 'operator'),
    citadelGrpc: '172.31.77.3:15012',
    pilotGrpc: '172.31.77.4:15012',
    rootCertFile: '/roots/root-cert.pem',
    ttl: 3600,
  }
})
afterEach(async () => {
  citadel.closeAllConnections()
  await new Promise((resolve) => citadel.close(resolve))
  await rm(folder, { recursive: true, force: true })
})

describe('weft enroll', () => {
  it('makes a bootstrap for each proxy, and tokens for the control plane apart from them', async () => {
    await enroll(options, terminal)
    expect((await readdir(options.controlOut)).sort()).toEqual(['mixer.token', 'operator.token', 'pilot.token'])
    expect(await readdir(options.out)).toHaveLength(7)
    const file = join(options.out, 'reviews-v2.json')
    const bootstrap = await readFile(file, 'utf8')
    expect(bootstrap).toContain('Bearer token of spiffe://cluster.local/ns/default/sa/bookinfo-reviews')
    expect((await stat(file)).mode & 0o077).toBe(0)
  })

  it('refuses a kind of proxy that does not exist, with its place', async () => {
    await writeFile(
      join(folder, 'odd.yaml'),
      'kind: WorkloadEntry\nmetadata: { name: a, annotations: { mesh.weft.dev/proxy: odd } }\nspec: { address: 10.0.0.1 }\n',
    )
    await expect(enroll({ ...options, config: [folder] }, terminal)).rejects.toThrow(
      "mesh.weft.dev/proxy: 'odd' is no kind of proxy",
    )
  })
})

describe('docker-compose.yml', () => {
  it('has the addresses that deploy/compose/mesh says, and finds services where sidecars listen for them', async () => {
    await enroll(options, terminal)
    const compose = composeSchema.parse(parse(await readFile(join(installation, 'docker-compose.yml'), 'utf8'), { merge: true }))
    const addresses = Object.entries(compose.services).flatMap(([name, { networks }]) =>
      networks === undefined || Array.isArray(networks) ? [] : [[name, networks['mesh']?.ipv4_address] as const],
    )
    const addressOf = new Map(addresses)
    let sidecars = 0
    for (const file of await readdir(options.out)) {
      const { node } = bootstrapSchema.parse(JSON.parse(await readFile(join(options.out, file), 'utf8')))
      const [type, address, name] = node.id.split('~')
      const container = type === 'router' ? 'gateway' : (name?.split('.')[0] ?? '')
      expect(addressOf.get(container), container).toBe(address)
      const { prefix, services } = node.metadata.LOOPBACK
      if (services === undefined) continue
      sidecars++
      for (const host of compose.services[container]?.extra_hosts ?? []) {
        const [service, at] = host.split(':')
        expect(at, `${container} finds ${service}`).toBe(`${prefix}.${services[`${service}.default.svc.cluster.local`]}`)
      }
      expect(compose.services[container]?.extra_hosts).toHaveLength(4)
    }
    expect(sidecars).toBe(6)
  })
})
