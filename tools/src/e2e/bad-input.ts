/**
 * The scenario `bad-input`: whatever is wrong is told in one line that names the file and line or the path, and what to do;
 * the rest goes on.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, start, until } from '../processes.ts'
import { pageProblem } from './local/pages.ts'
import { MeshUnderTest, root, weft } from './mesh-under-test.ts'
import { expect, type Scenario } from './scenario.ts'
import { get } from './traffic.ts'

const main = (app: string): string => join(root, 'apps', app, 'src/main.ts')

export async function badInputScenario(scenario: Scenario): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-bad-input-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const meshFolder = copyOfBookinfo(join(folder, 'mesh'))
  const mesh = await MeshUnderTest.start([meshFolder])
  scenario.cleanup(() => mesh.stop())
  await refusedApplies(scenario, mesh, folder)
  await brokenFolder(scenario, mesh, meshFolder)
  await wrongToken(scenario, mesh, folder)
  await badBootstrap(scenario, folder)
  await takenPorts(scenario, folder)
  await noRedis(scenario, folder)
  scenario.section('after all of it')
  await scenario.attempt('the mesh still serves whole pages', async () => {
    const problem = pageProblem(await get(`${mesh.gateway}/productpage`))
    expect(problem === undefined, problem ?? '')
    return undefined
  })
}

/** Bookinfo's folder with the programs named absolutely, so that it may lie anywhere. */
function copyOfBookinfo(folder: string): string {
  const bookinfo = join(root, 'apps/bookinfo')
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(join(bookinfo, 'mesh'))) copyFileSync(join(bookinfo, 'mesh', file), join(folder, file))
  const workloads = join(folder, 'workloads.yaml')
  writeFileSync(workloads, readFileSync(workloads, 'utf8').replaceAll('../src/', `${bookinfo}/src/`))
  return folder
}

async function refusedApplies(scenario: Scenario, mesh: MeshUnderTest, folder: string): Promise<void> {
  scenario.section('weft apply')
  const refused = (what: string, name: string, yaml: string, wanted: RegExp): Promise<boolean> =>
    scenario.attempt(what, async () => {
      const file = join(folder, name)
      writeFileSync(file, yaml)
      const { code, output } = await mesh.weft('apply', '-f', file)
      expect(code === 3, `exit code ${code}, expected 3 (refused):\n${output}`)
      expect(wanted.test(output), `does not match ${wanted}:\n${output}`)
      return output
        .split('\n')
        .find((line) => wanted.test(line))
        ?.replace(folder, '…')
    })
  await refused('broken YAML', 'broken.yaml', 'apiVersion: networking.istio.io/v1\nkind: [VirtualService\n', /broken\.yaml:[23]:/)
  await refused('an unknown field', 'unknown.yaml', virtualService('reviews', 'timout: 3s'), /unknown\.yaml:7: .*timout/)
  await refused('a wrong value', 'value.yaml', virtualService('reviews', 'timeout: fast'), /value\.yaml:7: .*timeout/)
  await refused('a port beyond all ports', 'port.yaml', virtualService('reviews', '', 99_999), /port\.yaml:\d+: .*port/)
  await scenario.attempt('a host that does not exist is told, with its line', async () => {
    const file = join(folder, 'host.yaml')
    writeFileSync(file, virtualService('nowhere', ''))
    const { code, output } = await mesh.weft('apply', '-f', file)
    const line = output.split('\n').find((text) => /host\.yaml:\d+: .*nowhere/.test(text))
    expect(line !== undefined, `exit code ${code}:\n${output}`)
    await mesh.weft('delete', '-f', file)
    return line.replace(folder, '…')
  })
  await scenario.attempt('a file that does not exist', async () => {
    const { code, output } = await mesh.weft('apply', '-f', join(folder, 'none.yaml'))
    expect(code === 1 && /none\.yaml: there is no such file/.test(output), `exit code ${code}:\n${output}`)
    return undefined
  })
  await scenario.attempt('nothing of a refused request is applied', async () => {
    const { output } = await mesh.weft('get', 'virtualservice')
    expect(!output.includes('reviews'), output)
    return undefined
  })
}

async function brokenFolder(scenario: Scenario, mesh: MeshUnderTest, meshFolder: string): Promise<void> {
  scenario.section('the watched folder')
  const file = join(meshFolder, 'edited.yaml')
  const status = async (): Promise<string> => (await get(`http://${mesh.state().pilot.admin}/v1/status`)).body
  await scenario.attempt('a broken file is told with its line, and everything else stays', async () => {
    writeFileSync(file, virtualService('reviews', 'timout: 3s'))
    await until(async () => /edited\.yaml","line":7/.test(await status()), 'Pilot to tell of edited.yaml:7')
    const problem = pageProblem(await get(`${mesh.gateway}/productpage`))
    expect(problem === undefined, problem ?? '')
    const log = readFileSync(mesh.part('pilot').log, 'utf8')
    return /edited\.yaml:7:[^"]*/.exec(log)?.[0]
  })
  await scenario.attempt('mended, it takes effect', async () => {
    writeFileSync(file, virtualService('reviews', 'fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }'))
    const url = `http://${mesh.outbound('productpage-v1', 'reviews')}:9080/reviews/0`
    await until(async () => (await get(url)).status === 418, 'the mended rule')
    rmSync(file)
    await until(async () => (await get(url)).status === 200, 'the rule to be gone with its file')
    return undefined
  })
}

async function wrongToken(scenario: Scenario, mesh: MeshUnderTest, folder: string): Promise<void> {
  scenario.section('a wrong join token')
  await scenario.attempt('Citadel refuses it, and the service says so in one line', async () => {
    const token = join(folder, 'wrong.token')
    writeFileSync(token, 'not-a-token')
    const { citadel } = mesh.state()
    const mixer = start([
      ...[process.execPath, main('mixer'), '--grpc-address', '127.0.0.1:0', '--admin-address', '127.0.0.1:0'],
      ...['--citadel-address', citadel.grpc, '--root-cert-file', citadel.rootCertFile, '--join-token-file', token],
    ])
    try {
      await until(() => /token/.test(mixer.output()), 'a line about the token', undefined, 15_000)
      const line = mixer
        .output()
        .split('\n')
        .find((text) => /token/.test(text))
      return line?.slice(0, 300)
    } finally {
      await mixer.stop()
    }
  })
}

async function badBootstrap(scenario: Scenario, folder: string): Promise<void> {
  scenario.section('weft-proxy')
  const told = (what: string, name: string, yaml: string, wanted: RegExp): Promise<boolean> =>
    scenario.attempt(what, async () => {
      const file = join(folder, name)
      writeFileSync(file, yaml)
      const proxy = start([process.execPath, main('proxy'), '--mode', 'validate', '-c', file])
      await until(() => proxy.child.exitCode !== null, 'weft-proxy to end', undefined, 60_000)
      expect(proxy.child.exitCode !== 0 && wanted.test(proxy.output()), `exit code ${proxy.child.exitCode}:\n${proxy.output()}`)
      return proxy
        .output()
        .trim()
        .split('\n')
        .find((line) => wanted.test(line))
        ?.slice(-300)
    })
  const foreign = 'envoy.filters.network.redis_proxy'
  await told(
    'a filter it does not have is refused by path and name',
    'filter.yaml',
    bootstrap(1, foreign),
    /filters\[0\].*redis_proxy/,
  )
  await told('an unknown field is refused by path', 'field.yaml', `${bootstrap(1)}\nno_such_field: 1\n`, /no_such_field/)
}

async function takenPorts(scenario: Scenario, folder: string): Promise<void> {
  scenario.section('a port in use')
  const server = createServer()
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  scenario.cleanup(() => new Promise((resolve) => server.close(() => resolve())))
  await scenario.attempt('weft up says which, and what to do', async () => {
    const { code, output } = await weft(['up', '--gateway-port', String(port), '--state-dir', join(folder, 'state')])
    expect(
      code === 1 && output.includes(`port ${port} of 127.0.0.1 is in use`) && output.includes('--gateway-port'),
      `${code}: ${output}`,
    )
    return output.split('\n')[0]
  })
  await scenario.attempt('citadel says which, and what to do', () =>
    ended(
      [
        main('citadel'),
        '--grpc-address',
        '127.0.0.1:0',
        '--admin-address',
        `127.0.0.1:${port}`,
        '--data-dir',
        join(folder, 'ca'),
      ],
      (output) => output.includes(`127.0.0.1:${port}`) && output.includes('--admin-address'),
    ),
  )
  await scenario.attempt('weft-proxy says which listener', () => {
    const file = join(folder, 'taken.yaml')
    writeFileSync(file, bootstrap(port))
    return ended([main('proxy'), '-c', file], (output) => output.includes(String(port)) && /in use/i.test(output))
  })
}

async function noRedis(scenario: Scenario, folder: string): Promise<void> {
  scenario.section('Redis is absent')
  await scenario.attempt('Mixer says so with its address, and starts all the same', async () => {
    const config = join(folder, 'quota')
    mkdirSync(config)
    writeFileSync(join(config, 'quota.yaml'), redisQuota)
    const port = await freePort()
    const mixer = start([
      ...[process.execPath, main('mixer'), '--plaintext-grpc-address', '127.0.0.1:0', '--admin-address', `127.0.0.1:${port}`],
      ...['--config-dir', config, '--redis-url', 'redis://127.0.0.1:1'],
    ])
    try {
      await until(
        async () => (await get(`http://127.0.0.1:${port}/healthz/ready`).catch(() => undefined))?.status === 200,
        'Mixer',
        mixer,
      )
      await until(() => /redis/i.test(mixer.output()) && mixer.output().includes('127.0.0.1:1'), 'a line about Redis', mixer)
      return mixer
        .output()
        .split('\n')
        .find((line) => line.includes('127.0.0.1:1'))
        ?.slice(0, 300)
    } finally {
      await mixer.stop()
    }
  })
}

/** Runs a program of ours that cannot start; gives the line that says why. */
async function ended(args: readonly string[], tells: (output: string) => boolean): Promise<string | undefined> {
  const running = start([process.execPath, ...args])
  try {
    await until(() => running.child.exitCode !== null, 'it to end', undefined, 60_000)
    expect(running.child.exitCode !== 0 && tells(running.output()), `exit code ${running.child.exitCode}:\n${running.output()}`)
    return running
      .output()
      .trim()
      .split('\n')
      .find((line) => tells(line))
      ?.slice(0, 300)
  } finally {
    await running.stop()
  }
}

function virtualService(host: string, more: string, port = 9080): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - ${more === '' ? 'name: plain' : more}
      route: [{ destination: { host: ${host}, port: { number: ${port} } } }]
`
}

function bootstrap(port: number, filter = 'envoy.filters.network.http_connection_manager'): string {
  const foreign = filter.endsWith('redis_proxy')
  const type = foreign
    ? 'type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy'
    : 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
  const config = foreign
    ? `
          stat_prefix: x
          settings: { op_timeout: 1s }`
    : `
          stat_prefix: x
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts: [{ name: all, domains: ['*'], routes: [{ match: { prefix: / }, direct_response: { status: 200 } }] }]`
  return `
static_resources:
  listeners:
  - name: one
    address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
    filter_chains:
    - filters:
      - name: ${filter}
        typed_config:
          '@type': ${type}${config}
`
}

const redisQuota = `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: few }
spec:
  compiledAdapter: redisquota
  params:
    quotas: [{ name: some.instance.default, maxAmount: 5, validDuration: 10s, rateLimitAlgorithm: FIXED_WINDOW }]
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: some }
spec: { compiledTemplate: quota, params: { dimensions: { all: '"all"' } } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: some }
spec: { actions: [{ handler: few, instances: [some] }] }
`
