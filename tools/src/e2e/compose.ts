/**
 * The scenario `compose`: docker-compose.yml as it stands, with a real engine. `WEFT_COMPOSE` names the command (`docker-compose`,
 * `docker compose`); images are built first, which needs the package registry.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { freePort, until } from '../processes.ts'
import { ComposeProject, composeProblem } from './compose/project.ts'
import { pageProblem } from './local/pages.ts'
import { quota } from './local/policy.ts'
import { weft } from './mesh-under-test.ts'
import { expect, type Scenario } from './scenario.ts'
import { type Answer, get } from './traffic.ts'

const oneShot = new Set(['folders', 'enroll', 'hand-over', 'sidecar'])
const isProxy = (command: string): boolean => command.includes('apps/proxy/src/main.js')
const isApplication = (command: string): boolean => command.startsWith('node /app/apps/bookinfo')
/** What crashes: one of each kind. */
const crashes: readonly { service: string; what?: string; which?: (command: string) => boolean }[] = [
  { service: 'details-v1', what: 'its program', which: isApplication },
  { service: 'ratings-v1', what: 'its proxy', which: isProxy },
  { service: 'reviews-v1', what: 'the first of its processes' },
  { service: 'mixer-2' },
  { service: 'pilot' },
  { service: 'redis' },
  { service: 'gateway' },
]
/** Where what `weft enroll` made says who a proxy is. */
const trustDomain = 'cluster.local'

export async function composeScenario(scenario: Scenario): Promise<void> {
  const problem = await composeProblem()
  if (problem !== undefined) return scenario.skip('docker-compose.yml runs a mesh', problem)
  const ports = { gateway: await freePort(), pilot: await freePort(), prometheus: await freePort() }
  const project = await ComposeProject.of(ports)
  const folder = await mkdtemp(join(tmpdir(), 'weft-compose-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  scenario.cleanup(async () => void (await project.compose(['down', '-v', '-t', '5'], 300_000)))
  const gateway = `http://127.0.0.1:${ports.gateway}`
  const page = (): Promise<Answer> => get(`${gateway}/productpage`)
  const pageIsWhole = async (): Promise<boolean> => pageProblem(await page().catch(failed)) === undefined

  scenario.section('docker-compose up')
  await scenario.attempt('builds the images', async () => {
    const built = await project.compose(['build'], 3_600_000)
    expect(built.code === 0, `${built.out.slice(-2000)}${built.err.slice(-2000)}`)
    const listed = await project.docker(['images', '--format', '{{.Repository}} {{.Size}}', '--filter', 'reference=weft/*'])
    return listed.out.trim().replaceAll('\n', ', ')
  })
  await scenario.attempt('starts all, and all get healthy', async () => {
    const up = await project.compose(['up', '-d'], 900_000)
    expect(up.code === 0, `${up.out.slice(-2000)}${up.err.slice(-4000)}`)
    await untilHealthy(project, 300_000)
    return `${(await project.states()).length} containers`
  })
  await scenario.attempt('Bookinfo comes through the gateway', async () => {
    await until(pageIsWhole, 'a whole page', undefined, 120_000).catch(async () => {
      throw new Error(pageProblem(await page().catch(failed)))
    })
    return undefined
  })
  scenario.check(
    'ports are published on loopback alone',
    (await publishedPorts(project)).every((port) => port.startsWith('127.0.0.1:')),
  )
  await scenario.attempt(
    'no program and no proxy is root or has a capability, and no container can write to its image',
    async () => {
      const odd: string[] = []
      for (const { service } of (await project.states()).filter(({ service }) => !oneShot.has(service))) {
        const container = await project.container(service)
        const [first, ...others] = await project.processes(container)
        const withSidecar = first?.command.includes('with-sidecar') === true
        const bounded = withSidecar ? others : first === undefined ? [] : [first, ...others]
        // What keeps the two of a container together may end them and start as their users, and that is all.
        if (withSidecar && first.capabilities !== keepers) odd.push(`${service}: ${first.capabilities.toString(16)}`)
        for (const { uid, capabilities, command } of bounded) {
          if (uid === 0 || capabilities !== 0n) odd.push(`${service}: user ${uid}, ${capabilities.toString(16)}: ${command}`)
        }
        if ((await project.inspect(container, '{{.HostConfig.ReadonlyRootfs}}')) !== 'true') odd.push(`${service} can write`)
      }
      expect(odd.length === 0, odd.join('\n'))
      return undefined
    },
  )

  scenario.section('programs that know nothing of a mesh')
  await scenario.attempt(
    'are intercepted, and speak as their workload: productpage may ask ratings, details may not',
    async () => {
      const script = `fetch('http://ratings:9080/ratings/0').then(async (r) => console.log(r.status, await r.text()))`
      const allowed = await project.program('productpage-v1', script)
      expect(allowed.out.startsWith('200'), `${allowed.out}${allowed.err}`)
      const denied = await project.program('details-v1', script)
      expect(denied.out.startsWith('403'), `${denied.out}${denied.err}`)
      return denied.out.trim()
    },
  )
  await scenario.attempt('without a sidecar are refused: mutual TLS is asked for', async () => {
    const address = await addressOf(project, await project.container('ratings-v1'))
    const script = `fetch('http://${address}:9080/ratings/0').then((r) => console.log('answered', r.status), (e) => console.log('refused', e.cause?.code))`
    const network = `${project.name}_mesh`
    const { out, err } = await project.docker(['run', '--rm', '--network', network, 'node:24-slim', 'node', '-e', script])
    expect(out.startsWith('refused'), `${out}${err}`)
    return out.trim()
  })

  scenario.section('two Mixers share quotas in Redis')
  await scenario.attempt('5 requests in 10 s pass, then 429', async () => {
    const file = join(folder, 'quota.yaml')
    await writeFile(file, quota)
    const token = join(folder, 'token')
    const { out } = await project.docker(['exec', await project.container('pilot'), 'cat', '/control/operator.token'])
    await writeFile(token, out, { mode: 0o600 })
    const access = ['--pilot', `127.0.0.1:${ports.pilot}`, '--operator-token-file', token]
    const applied = await weft(['apply', '-f', file, '--wait', ...access])
    expect(applied.code === 0, applied.output)
    const counted = await project.program('productpage-v1', countWindow, 180_000)
    expect(counted.out.trim() === 'passed 5', `${counted.out}${counted.err}`)
    const removed = await weft(['delete', '-f', file, ...access])
    expect(removed.code === 0, removed.output)
    return counted.out.trim()
  })
  await scenario.attempt('both were asked, and Prometheus has what they count', async () => {
    const query = encodeURIComponent('sum by (instance) (mixer_check_total)')
    const answered = async (): Promise<string[]> => {
      const { body } = await get(`http://127.0.0.1:${ports.prometheus}/api/v1/query?query=${query}`)
      return [...body.matchAll(/"instance":"([^"]+)"\},"value":\[[^,]+,"([1-9]\d*)"\]/g)].map(([, at, count]) => `${at} ${count}`)
    }
    await until(async () => (await answered()).length === 2, 'counts of both Mixers', undefined, 60_000)
    return (await answered()).join(', ')
  })

  scenario.section('docker-compose up --scale')
  const endpoints = async (): Promise<string[]> => {
    const { body } = await get(`http://127.0.0.1:${ports.pilot}/v1/registry`)
    return endpointsOf(body, 'reviews.default.svc.cluster.local')
  }
  await scenario.attempt('reviews-v2=3: each replica is an endpoint, answers, and has a certificate of its own', async () => {
    const scaled = await project.compose(['up', '-d', '--no-recreate', '--scale', 'reviews-v2=3'], 300_000)
    expect(scaled.code === 0, scaled.err)
    await untilHealthy(project, 180_000)
    const replicas = await project.containers('reviews-v2')
    expect(replicas.length === 3, `${replicas.length} containers`)
    const addresses = await Promise.all(replicas.map((id) => addressOf(project, id)))
    const known = async (): Promise<boolean> => {
      const all = await endpoints()
      return all.length === 5 && addresses.every((address) => all.includes(address))
    }
    await until(known, 'three replicas of v2 among the endpoints', undefined, 60_000)
    const names = await Promise.all(replicas.map((id) => project.inspect(id, '{{.Config.Hostname}}')))
    const asked = await project.program('productpage-v1', countReplicas)
    const counts = JSON.parse(asked.out) as Record<string, number>
    for (const name of names) expect((counts[name] ?? 0) > 0, `${name} answered nothing: ${asked.out}${asked.err}`)
    const serials = new Set<string>()
    for (const id of replicas) serials.add(await certificateOf(project, id, 'bookinfo-reviews'))
    expect(serials.size === 3, `certificates ${[...serials].join(', ')}`)
    return names.map((name) => `${name} ${counts[name]}`).join(', ')
  })
  await scenario.attempt('back to 1 while requests come: the others are forgotten, and none fails', async () => {
    const asked = project.program('productpage-v1', askFor(20_000), 120_000)
    const scaled = await project.compose(['up', '-d', '--no-recreate', '--scale', 'reviews-v2=1'], 300_000)
    expect(scaled.code === 0, scaled.err)
    await until(async () => (await endpoints()).length === 3, 'three endpoints', undefined, 60_000)
    const { out, err } = await asked
    const { passed, failed } = JSON.parse(out) as { passed: number; failed: string[] }
    expect(
      failed.length === 0 && passed > 0,
      `${failed.length} of ${passed + failed.length}: ${failed.slice(0, 5).join(', ')}${err}`,
    )
    return `${passed} requests`
  })

  scenario.section('crashes')
  for (const { service, what, which } of crashes) {
    await scenario.attempt(`${service}${what === undefined ? '' : `, ${what}`}: comes back`, async () => {
      const container = await project.container(service)
      const startedAt = (): Promise<string> => project.inspect(container, '{{.State.StartedAt}}')
      const before = await startedAt()
      await project.crash(service, which)
      await until(async () => (await startedAt()) !== before, `${service} to start again`, undefined, 60_000)
      await untilHealthy(project, 120_000)
      await until(pageIsWhole, 'a whole page', undefined, 60_000)
      return undefined
    })
  }

  scenario.section('docker-compose down')
  await scenario.attempt('ends everything in time, and leaves nothing', async () => {
    const stopped = await project.compose(['stop', '-t', '20'], 600_000)
    expect(stopped.code === 0, stopped.err)
    const killed = (await project.states()).filter(({ status }) => status.includes('(137)'))
    expect(killed.length === 0, `did not end by SIGTERM: ${killed.map(({ service }) => service).join(', ')}`)
    const down = await project.compose(['down', '-v'], 600_000)
    expect(down.code === 0, down.err)
    const left = await project.remains()
    expect(left.length === 0, `left: ${left.join(', ')}`)
    return undefined
  })
}

/** CAP_KILL, CAP_SETGID, CAP_SETUID and CAP_SETPCAP. */
const keepers = (1n << 5n) | (1n << 6n) | (1n << 7n) | (1n << 8n)

const failed = (error: unknown): Answer => ({ status: 0, body: String(error), headers: {} })

/** Counts how many requests pass in a window that begins fresh: the second one, when both Mixers know of the quota. */
const countWindow = `
const ask = async () => (await fetch('http://details:9080/details/0')).status
const untilStatus = async (wanted) => { for (;;) if (await ask() === wanted) return }
setTimeout(() => { console.log('no window within two minutes'); process.exit(1) }, 120000)
const window = async () => {
  await untilStatus(200)
  let passed = 1
  for (let refused = 0; refused < 5;) { const status = await ask(); if (status === 200) passed++; else refused++ }
  return passed
}
await untilStatus(429)
await window()
console.log('passed', await window())
process.exit(0)`

/** Counts who answers for reviews. */
const countReplicas = `
const counts = {}
for (let round = 0; round < 100; round++) {
  const { podname } = await (await fetch('http://reviews:9080/reviews/0')).json()
  counts[podname] = (counts[podname] ?? 0) + 1
}
console.log(JSON.stringify(counts))
process.exit(0)`

/** Asks reviews for a time, and tells what did not pass. */
const askFor = (ms: number): string => `
const failed = []
let passed = 0
for (const end = Date.now() + ${ms}; Date.now() < end; ) {
  const status = await fetch('http://reviews:9080/reviews/0').then((r) => r.text().then(() => r.status), String)
  if (status === 200) passed++; else failed.push(status)
}
console.log(JSON.stringify({ passed, failed }))
process.exit(0)`

const registrySchema = z.object({
  services: z.array(z.looseObject({ host: z.string(), endpoints: z.array(z.looseObject({ address: z.string() })) })),
})

/** Addresses of a service in Pilot's /v1/registry. */
function endpointsOf(registry: string, host: string): string[] {
  const { services } = registrySchema.parse(JSON.parse(registry))
  return services.find((service) => service.host === host)?.endpoints.map(({ address }) => address) ?? []
}

function addressOf(project: ComposeProject, container: string): Promise<string> {
  return project.inspect(container, '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
}

/** The serial number of a proxy's certificate, which has to be this account's. */
async function certificateOf(project: ComposeProject, container: string, account: string): Promise<string> {
  const script = `fetch('http://127.0.0.1:15000/certs').then(async (r) => console.log(await r.text()))`
  const { out, err } = await project.docker(['exec', container, '/sidecar/bin/node', '-e', script])
  expect(out.includes(`spiffe://${trustDomain}/ns/default/sa/${account}`), `${out}${err}`)
  const chain = /"cert_chain":\s*\[\s*\{[^}]*?"serial_number":\s*"(\w+)"/.exec(out)?.[1]
  expect(chain !== undefined, out)
  return chain
}

async function untilHealthy(project: ComposeProject, timeoutMs: number): Promise<void> {
  await until(async () => (await unhealthy(project)).length === 0, 'all containers to be healthy', undefined, timeoutMs).catch(
    async (error) => {
      throw new Error(`${String(error)}: ${(await unhealthy(project)).join(', ')}`)
    },
  )
}

/** Services that are not as they should be. */
async function unhealthy(project: ComposeProject): Promise<string[]> {
  return (await project.states())
    .filter(({ service, status }) => (oneShot.has(service) ? !status.startsWith('Exited (0)') : !status.includes('(healthy)')))
    .map(({ service, status }) => `${service}: ${status}`)
}

async function publishedPorts(project: ComposeProject): Promise<string[]> {
  const filter = `label=com.docker.compose.project=${project.name}`
  const { out } = await project.docker(['ps', '--filter', filter, '--format', '{{.Ports}}'])
  return out
    .split(/[\n,]/)
    .map((port) => port.trim())
    .filter((port) => port.includes('->'))
}
