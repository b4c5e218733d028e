import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
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
      entrypoint: z.array(z.string()).optional(),
      networks: z
        .union([
          z.record(z.string(), z.looseObject({ ipv4_address: z.string().optional() })),
          z.array(z.string()).transform((): Record<string, { ipv4_address?: string }> => ({})),
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
    const file = join(options.out, 'istio-ingressgateway.json')
    const bootstrap = await readFile(file, 'utf8')
    expect(bootstrap).toContain('Bearer token of spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account')
    expect((await stat(file)).mode & 0o077).toBe(0)
  })

  it('makes an environment and a token for the sidecars of a WorkloadGroup, which a shell reads', async () => {
    const group = join(folder, 'groups')
    await mkdir(group)
    await writeFile(
      join(group, 'group.yaml'),
      `kind: WorkloadGroup
metadata: { name: web, namespace: shop, annotations: { mesh.weft.dev/proxy: sidecar } }
spec: { metadata: { labels: { app: "it's" } }, template: { serviceAccount: web } }
`,
    )
    await enroll({ ...options, config: [group] }, terminal)
    expect((await readdir(options.out)).sort()).toEqual(['web.env', 'web.token'])
    expect(await readFile(join(options.out, 'web.token'), 'utf8')).toBe('token of spiffe://cluster.local/ns/shop/sa/web')
    const script = 'set -a; . "$0"; env'
    const read = execFileSync('sh', ['-c', script, join(options.out, 'web.env')], { env: {}, encoding: 'utf8' }).split('\n')
    expect(read).toContain(`ISTIO_METAJSON_LABELS={"LABELS":{"app":"it's"}}`)
    expect(read).toContain('ISTIO_META_AUTO_REGISTER_GROUP=web')
    expect(read).toContain('POD_NAMESPACE=shop')
    expect(read).toContain(`TOKEN_FILE=${join(options.out, 'web.token')}`)
    for (const name of ['web.env', 'web.token']) expect((await stat(join(options.out, name))).mode & 0o077).toBe(0)
    await writeFile(
      join(group, 'group.yaml'),
      'kind: WorkloadGroup\nmetadata: { name: web, annotations: { mesh.weft.dev/proxy: router } }\nspec: { template: {} }\n',
    )
    await expect(enroll({ ...options, config: [group] }, terminal)).rejects.toThrow("'router' is no kind of proxy")
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
  it('has the addresses and the sidecars that deploy/compose/mesh says', async () => {
    await enroll(options, terminal)
    const compose = composeSchema.parse(parse(await readFile(join(installation, 'docker-compose.yml'), 'utf8'), { merge: true }))
    const made = await readdir(options.out)
    for (const file of made.filter((name) => name.endsWith('.json'))) {
      const { node } = bootstrapSchema.parse(JSON.parse(await readFile(join(options.out, file), 'utf8')))
      expect(compose.services['gateway']?.networks?.['mesh']?.ipv4_address).toBe(node.id.split('~')[1])
    }
    const environments = made.filter((name) => name.endsWith('.env'))
    expect(environments).toHaveLength(6)
    for (const file of environments) {
      const { entrypoint, networks } = compose.services[file.slice(0, -'.env'.length)] ?? {}
      expect(entrypoint?.slice(0, 2), file).toEqual(['/sidecar/bin/with-sidecar', `/enrolled/${file}`])
      expect(networks?.['mesh']?.ipv4_address, 'replicas have addresses of their own').toBeUndefined()
    }
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
