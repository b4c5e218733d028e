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
    metadata: z.looseObject({
      INTERCEPTION_MODE: z.string(),
      LOOPBACK: z.unknown().optional(),
    }),
  }),
})
const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.looseObject({
      ports: z.array(z.string()).optional(),
      cap_drop: z.array(z.string()).optional(),
      read_only: z.boolean().optional(),
      network_mode: z.string().optional(),
      networks: z
        .union([
          z.record(z.string(), z.object({ ipv4_address: z.string() })),
          z.array(z.string()).transform((): Record<string, { ipv4_address: string }> => ({})),
        ])
        .optional(),
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

  it('refuses a way to catch connections that does not exist, and tells other addresses of a workload', async () => {
    const entry = (annotations: string): Promise<void> =>
      writeFile(
        join(folder, 'odd.yaml'),
        `kind: WorkloadEntry\nmetadata: { name: a, annotations: { mesh.weft.dev/proxy: sidecar, ${annotations} } }\nspec: { address: 10.0.0.1 }\n`,
      )
    await entry('mesh.weft.dev/interception: SOMEHOW')
    await expect(enroll({ ...options, config: [folder] }, terminal)).rejects.toThrow("'SOMEHOW' is no way to catch connections")
    await entry("mesh.weft.dev/interception: TPROXY, mesh.weft.dev/more-addresses: 'fd00::1, nonsense'")
    await enroll({ ...options, config: [folder] }, terminal)
    const { node } = bootstrapSchema.parse(JSON.parse(await readFile(join(options.out, 'a.json'), 'utf8')))
    expect(node.metadata).toMatchObject({ INTERCEPTION_MODE: 'TPROXY', INSTANCE_IPS: '10.0.0.1,fd00::1' })
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
  it('has the addresses that deploy/compose/mesh says, and a pod around each application with a sidecar', async () => {
    await enroll(options, terminal)
    const compose = composeSchema.parse(parse(await readFile(join(installation, 'docker-compose.yml'), 'utf8'), { merge: true }))
    let sidecars = 0
    for (const file of await readdir(options.out)) {
      const { node } = bootstrapSchema.parse(JSON.parse(await readFile(join(options.out, file), 'utf8')))
      const [type, address, id] = node.id.split('~')
      const name = type === 'router' ? 'gateway' : (id?.split('.')[0] ?? '')
      const container = type === 'router' ? name : `${name}-pod`
      expect(compose.services[container]?.networks?.['mesh']?.ipv4_address, container).toBe(address)
      if (type === 'router') continue
      sidecars++
      expect(node.metadata).toMatchObject({ INTERCEPTION_MODE: 'REDIRECT' })
      expect(node.metadata.LOOPBACK, 'no addresses of its own').toBeUndefined()
      for (const member of [name, `${name}-sidecar`]) {
        expect(compose.services[member]?.network_mode, member).toBe(`service:${container}`)
      }
    }
    expect(sidecars).toBe(6)
  })

  it('publishes ports on loopback alone, and lets nothing write or gain rights', async () => {
    const compose = composeSchema.parse(parse(await readFile(join(installation, 'docker-compose.yml'), 'utf8'), { merge: true }))
    for (const [name, service] of Object.entries(compose.services)) {
      for (const port of service.ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/)
      expect(service.cap_drop, name).toEqual(['ALL'])
      if (service.network_mode === 'none') continue
      expect(service.read_only, name).toBe(true)
    }
  })
})
