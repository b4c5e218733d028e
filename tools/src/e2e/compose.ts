/**
 * The scenario `compose`: docker-compose.yml as it stands, with a real engine. `WEFT_COMPOSE` names the command (`docker-compose`,
 * `docker compose`); images are built first, which needs the package registry.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, until } from '../processes.ts'
import { ComposeProject, composeProblem } from './compose/project.ts'
import { pageProblem } from './local/pages.ts'
import { quota } from './local/policy.ts'
import { weft } from './mesh-under-test.ts'
import { expect, type Scenario } from './scenario.ts'
import { type Answer, get } from './traffic.ts'

const oneShot = new Set(['folders', 'enroll', 'hand-over'])
/** Whose process crashes: one of each kind. */
const crashed = ['details-v1', 'ratings-v1-sidecar', 'mixer-2', 'pilot', 'redis', 'gateway'] as const

export async function composeScenario(scenario: Scenario): Promise<void> {
  const problem = composeProblem()
  if (problem !== undefined) return scenario.skip('docker-compose.yml runs a mesh', problem)
  const ports = { gateway: await freePort(), pilot: await freePort(), prometheus: await freePort() }
  const project = new ComposeProject(ports)
  const folder = await mkdtemp(join(tmpdir(), 'weft-compose-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  scenario.cleanup(() => void project.compose(['down', '-v', '-t', '5'], 300_000))
  const gateway = `http://127.0.0.1:${ports.gateway}`
  const page = (): Promise<Answer> => get(`${gateway}/productpage`)
  const pageIsWhole = async (): Promise<boolean> => pageProblem(await page().catch(failed)) === undefined

  scenario.section('docker-compose up')
  await scenario.attempt('builds the images', () => {
    const built = project.compose(['build'], 3_600_000)
    expect(built.code === 0, `${built.out.slice(-2000)}${built.err.slice(-2000)}`)
    return project
      .docker(['images', '--format', '{{.Repository}} {{.Size}}', '--filter', 'reference=weft/*'])
      .out.trim()
      .replaceAll('\n', ', ')
  })
  await scenario.attempt('starts all, and all get healthy', async () => {
    const up = project.compose(['up', '-d'], 900_000)
    expect(up.code === 0, `${up.out.slice(-2000)}${up.err.slice(-4000)}`)
    await until(() => unhealthy(project).length === 0, 'all containers to be healthy', undefined, 300_000).catch((error) => {
      throw new Error(`${String(error)}: ${unhealthy(project).join(', ')}`)
    })
    return `${project.states().length} containers`
  })
  await scenario.attempt('Bookinfo comes through the gateway', async () => {
    await until(pageIsWhole, 'a whole page', undefined, 120_000).catch(async () => {
      throw new Error(pageProblem(await page().catch(failed)))
    })
    return undefined
  })
  scenario.check(
    'ports are published on loopback alone',
    publishedPorts(project).every((port) => port.startsWith('127.0.0.1:')),
  )

  scenario.section('programs that know nothing of a mesh')
  await scenario.attempt('are intercepted, and speak as their workload: productpage may ask ratings, details may not', () => {
    const script = `fetch('http://ratings:9080/ratings/0').then(async (r) => console.log(r.status, await r.text()))`
    const allowed = project.program('productpage-v1-pod', script)
    expect(allowed.out.startsWith('200'), `${allowed.out}${allowed.err}`)
    const denied = project.program('details-v1-pod', script)
    expect(denied.out.startsWith('403'), `${denied.out}${denied.err}`)
    return denied.out.trim()
  })
  await scenario.attempt('without a sidecar are refused: mutual TLS is asked for', () => {
    const script = `fetch('http://172.31.77.16:9080/ratings/0').then((r) => console.log('answered', r.status), (e) => console.log('refused', e.cause?.code))`
    const network = `${project.name}_mesh`
    const { out, err } = project.docker(['run', '--rm', '--network', network, 'node:24-slim', 'node', '-e', script])
    expect(out.startsWith('refused'), `${out}${err}`)
    return out.trim()
  })

  scenario.section('two Mixers share quotas in Redis')
  await scenario.attempt('5 requests in 10 s pass, then 429', async () => {
    const file = join(folder, 'quota.yaml')
    await writeFile(file, quota)
    const token = join(folder, 'token')
    const { out } = project.docker(['exec', project.container('pilot'), 'cat', '/control/operator.token'])
    await writeFile(token, out, { mode: 0o600 })
    const access = ['--pilot', `127.0.0.1:${ports.pilot}`, '--operator-token-file', token]
    const applied = await weft(['apply', '-f', file, '--wait', ...access])
    expect(applied.code === 0, applied.output)
    const counted = project.program('productpage-v1-pod', countWindow, 180_000)
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

  scenario.section('crashes')
  for (const service of crashed) {
    await scenario.attempt(`${service} comes back`, async () => {
      const started = project.docker(['inspect', '--format', '{{.State.StartedAt}}', project.container(service)]).out
      project.crash(service)
      const restarted = (): boolean =>
        project.docker(['inspect', '--format', '{{.State.StartedAt}}', project.container(service)]).out !== started
      await until(restarted, `${service} to start again`, undefined, 60_000)
      await until(() => unhealthy(project).length === 0, `${service} to be healthy`, undefined, 120_000)
      await until(pageIsWhole, 'a whole page', undefined, 60_000)
      return undefined
    })
  }

  scenario.section('docker-compose down')
  await scenario.attempt('ends everything in time, and leaves nothing', () => {
    const stopped = project.compose(['stop', '-t', '20'], 600_000)
    expect(stopped.code === 0, stopped.err)
    const killed = project.states().filter(({ status }) => status.includes('(137)'))
    expect(killed.length === 0, `did not end by SIGTERM: ${killed.map(({ service }) => service).join(', ')}`)
    const down = project.compose(['down', '-v'], 600_000)
    expect(down.code === 0, down.err)
    expect(project.remains().length === 0, `left: ${project.remains().join(', ')}`)
    return undefined
  })
}

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

/** Services that are not as they should be. */
function unhealthy(project: ComposeProject): string[] {
  return project
    .states()
    .filter(({ service, status }) => (oneShot.has(service) ? !status.startsWith('Exited (0)') : !status.includes('(healthy)')))
    .map(({ service, status }) => `${service}: ${status}`)
}

function publishedPorts(project: ComposeProject): string[] {
  const { out } = project.docker(['ps', '--filter', `label=com.docker.compose.project=${project.name}`, '--format', '{{.Ports}}'])
  return out
    .split(/[\n,]/)
    .map((port) => port.trim())
    .filter((port) => port.includes('->'))
}
