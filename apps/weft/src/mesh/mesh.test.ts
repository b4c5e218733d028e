import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Mesh, type MeshOptions } from './mesh.ts'
import { processStartedAt, runningMesh } from './state.ts'

/** Stands in for all four services: answers readiness where its flags or its bootstrap say, and mints tokens. */
const fakeService = `
const { createServer } = require('node:http')
const { readFileSync, mkdirSync, writeFileSync } = require('node:fs')
const flag = (name) => process.argv[process.argv.indexOf(name) + 1]
let [host, port] = []
if (process.argv.includes('-c')) {
  const bootstrap = JSON.parse(readFileSync(flag('-c'), 'utf8'))
  host = bootstrap.admin.address.socket_address.address
  port = bootstrap.admin.address.socket_address.port_value
} else {
  [host, port] = flag('--admin-address').split(':')
  if (process.argv.includes('--data-dir')) {
    mkdirSync(flag('--data-dir'), { recursive: true })
    writeFileSync(flag('--data-dir') + '/operator.token', 'op')
  }
}
createServer((request, response) => {
  if (request.url !== '/v1/tokens') return response.end('{}')
  if (request.headers.authorization !== 'Bearer op') return response.writeHead(401).end()
  let body = ''
  request.on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    const tokens = JSON.parse(body).tokens.map(({ identity }) => ({ identity, token: 'token of ' + identity }))
    response.end(JSON.stringify({ tokens }))
  })
}).listen(Number(port), host)
`

let folder: string
let options: MeshOptions
const meshes: Mesh[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-mesh-'))
  const script = join(folder, 'service.cjs')
  await writeFile(script, fakeService)
  await writeFile(
    join(folder, 'mesh.yaml'),
    `apiVersion: mesh.weft.dev/v1
kind: Workload
metadata: { name: web-v1 }
spec:
  command: node
  args: [-e, "require('node:http').createServer((_, r) => r.end('ok')).listen(9080, process.env.HOST)"]
  env: { HOST: "\${workload.address}" }
  ports: [{ name: http, number: 9080 }]
  serviceAccount: web
  labels: { app: web, version: v1 }
`,
  )
  const program = { command: process.execPath, args: [script] }
  options = {
    folder,
    stateFolder: join(folder, 'state'),
    gatewayPort: 28_080,
    exactGatewayPort: false,
    mixerReplicas: 2,
    redisUrl: undefined,
    concurrency: 1,
    adapterFolder: undefined,
    programs: { citadel: program, pilot: program, mixer: program, proxy: program },
    events: {},
  }
})
afterEach(async () => {
  await Promise.all(meshes.splice(0).map((mesh) => mesh.stop()))
  await rm(folder, { recursive: true, force: true })
})

async function started(more: Partial<MeshOptions> = {}): Promise<Mesh> {
  const mesh = await Mesh.prepare({ ...options, ...more })
  meshes.push(mesh)
  await mesh.start()
  expect(await mesh.awaitReady()).toEqual([])
  return mesh
}

describe('a local mesh', () => {
  it('runs every part, says so in mesh.json, and leaves no process', async () => {
    const mesh = await started()
    const state = runningMesh(options.stateFolder)
    expect(state?.parts.map((part) => [part.name, part.state])).toEqual(
      ['citadel', 'pilot', 'mixer', 'mixer-2', 'istio-ingressgateway', 'web-v1-sidecar', 'web-v1'].map((name) => [name, 'ready']),
    )
    const pids = mesh.processes.map((process) => process.pid ?? 0)
    await mesh.stop()
    expect(pids.map(processStartedAt)).toEqual(pids.map(() => ''))
    expect(runningMesh(options.stateFolder)).toBeUndefined()
  })

  it('gives each proxy a bootstrap with its identity and join token, readable by its owner alone', async () => {
    const mesh = await started()
    const file = join(options.stateFolder, 'bootstraps/web-v1-sidecar.json')
    const bootstrap = JSON.parse(await readFile(file, 'utf8'))
    const { octet } = mesh.plan
    expect(bootstrap.node).toMatchObject({
      id: `sidecar~127.${octet}.2.1~web-v1.default~default.svc.cluster.local`,
      metadata: {
        NAMESPACE: 'default',
        SERVICE_ACCOUNT: 'web',
        INTERCEPTION_MODE: 'NONE',
        LABELS: { app: 'web', version: 'v1' },
        LOOPBACK: { prefix: `127.${octet}.2`, app: `127.${octet}.2.2`, services: {} },
      },
    })
    expect(JSON.stringify(bootstrap)).toContain('Bearer token of spiffe://cluster.local/ns/default/sa/web')
    expect((await stat(file)).mode & 0o077).toBe(0)
    const workloads = await readFile(join(options.stateFolder, 'generated/workloads.yaml'), 'utf8')
    expect(workloads).toContain(`address: 127.${octet}.2.1`)
    expect(workloads.match(/kind: WorkloadEntry/g)).toHaveLength(4)
  })

  it('runs beside another mesh', async () => {
    const [one, other] = await Promise.all([started(), started({ stateFolder: join(folder, 'state-2') })])
    expect(one.plan.octet).not.toBe(other.plan.octet)
    expect(one.gatewayPorts['8080']).not.toBe(other.gatewayPorts['8080'])
  })

  it('starts a part again that was killed', async () => {
    const mesh = await started()
    const pilot = mesh.processes.find(({ spec }) => spec.kind === 'pilot')!
    process.kill(pilot.pid ?? 0, 'SIGKILL')
    await vi.waitFor(() => expect(pilot.restarts).toBe(1))
    await vi.waitFor(() => expect(pilot.state).toBe('ready'), { timeout: 10_000 })
  })

  it('refuses a gateway port that is taken and was asked for by name', async () => {
    const { createServer } = await import('node:net')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(28_280, '127.0.0.1', resolve))
    await expect(Mesh.prepare({ ...options, gatewayPort: 28_280, exactGatewayPort: true })).rejects.toThrow(
      'port 28280 of 127.0.0.1 is in use',
    )
    const mesh = await Mesh.prepare({ ...options, gatewayPort: 28_280 })
    meshes.push(mesh)
    expect(mesh.gatewayPorts['8080']).toBe(28_281)
    await new Promise((resolve) => server.close(resolve))
  })

  it('has URLs only where a Gateway speaks plain HTTP, on the first port that does', async () => {
    const gateway = (servers: string): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec: { servers: [${servers}] }`
    const prepared = async (servers: string): Promise<Mesh> => {
      await writeFile(join(folder, 'gateway.yaml'), gateway(servers))
      const mesh = await Mesh.prepare(options)
      meshes.push(mesh)
      return mesh
    }
    const passthrough = '{ port: { number: 8443, name: tls, protocol: TLS }, hosts: ["*"] }'
    expect((await prepared(passthrough)).urls).toEqual([])
    const both = await prepared(`${passthrough}, { port: { number: 8081, name: http, protocol: HTTP }, hosts: ["*"] }`)
    expect(both.urls).toEqual([`http://127.0.0.1:${both.gatewayPorts['8081']}/`])
  })

  it('can be stopped while it starts', async () => {
    const mesh = await Mesh.prepare(options)
    const starting = mesh.start().catch(() => 'cut short')
    await vi.waitFor(() => expect(mesh.processes).toHaveLength(1))
    const pid = mesh.processes[0]?.pid ?? 0
    await mesh.stop()
    expect(processStartedAt(pid)).toBe('')
    void starting
  })
})
