import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { until } from '../../processes.ts'
import { page, pageProblem, reviewsVersion, versionsSeen } from '../local/pages.ts'
import { expect, type Scenario } from '../scenario.ts'
import { get, Traffic, tally } from '../traffic.ts'
import { bookinfoPort } from './bookinfo.ts'
import { gatewayCredentials } from './gateway-credentials.ts'
import type { MeshOnPlatform } from './mesh.ts'

const patienceMs = 300_000

/** What a platform's own checks ask: a page for each instance, which may be made to fail. */
export interface HealthPages {
  port: number
  fail(instance: string): void
  pass(instance: string): void
}

export async function healthPages(scenario: Scenario): Promise<HealthPages> {
  const failing = new Set<string>()
  const server = createServer((request, response) => {
    response.writeHead(failing.has((request.url ?? '').slice(1)) ? 503 : 200).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  scenario.cleanup(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, fail: (instance) => void failing.add(instance), pass: (instance) => void failing.delete(instance) }
}

export interface PlatformUnderTest {
  name: string
  mesh: MeshOnPlatform
  health: HealthPages
  /** Ends its server and starts it again with what it had. */
  restart(): Promise<void>
  /** Takes one instance of reviews away, and later brings it back. */
  remove(instance: string): Promise<void>
  add(instance: string): Promise<void>
  registry: string
}

/** Bookinfo on a platform, from its first page to the restarts of everything under it. */
export async function bookinfoChecks(scenario: Scenario, platform: PlatformUnderTest): Promise<void> {
  const { name, mesh, health } = platform
  const pages = `${mesh.gateway}/productpage`
  const endpoints = (): Promise<string[]> => mesh.healthyEndpoints('reviews')
  const untilEndpoints = (count: number): Promise<void> =>
    until(async () => (await endpoints()).length === count, `${count} healthy endpoints of reviews`, undefined, patienceMs)
  const shown = async (wanted: string): Promise<void> => {
    const isShown = async (): Promise<boolean> => [...(await versionsSeen(mesh.gateway, 8))].sort().join() === wanted
    await until(isShown, `pages to show ${wanted}`, undefined, patienceMs)
  }

  scenario.section(`Bookinfo, registered in ${name}`)
  await scenario.attempt('Pilot knows its services and endpoints from there', async () => {
    await untilEndpoints(3)
    for (const service of ['productpage', 'details', 'ratings']) {
      await until(
        async () => (await mesh.healthyEndpoints(service)).length === 1,
        `an endpoint of ${service}`,
        undefined,
        patienceMs,
      )
    }
    return (await endpoints()).join(' ')
  })
  await scenario.attempt('the page comes through gateway and sidecars', async () => {
    await until(
      async () => pageProblem(await page(mesh.gateway).catch(failed)) === undefined,
      'a whole page',
      undefined,
      patienceMs,
    )
    return undefined
  })
  await scenario.attempt('all three versions of reviews take requests', async () => {
    await shown('v1,v2,v3')
    return undefined
  })

  scenario.section('routing and mutual TLS')
  await scenario.attempt('plaintext from outside of the mesh is refused', async () => {
    const [instance] = mesh.instances
    const answer = await get(`http://${instance?.sidecarAddress}:${bookinfoPort}/health`).catch(() => undefined)
    expect(answer === undefined, `a sidecar answered it with ${answer?.status}`)
    return undefined
  })
  await scenario.attempt('a route to one version, by the labels that the platform has', async () => {
    await mesh.configure('reviews.yaml', reviewsRoute([['v1', 100]]))
    await shown('v1')
    return undefined
  })
  await scenario.attempt('a split between two versions', async () => {
    await mesh.configure('reviews.yaml', reviewsRoute([['v1', 50], ['v3', 50]])) // biome-ignore format: one line
    await shown('v1,v3')
    const seen = await tally(pages, 200, 4, (answer) => pageProblem(answer) ?? reviewsVersion(answer.body))
    const [v1 = 0, v3 = 0] = [seen.get('v1'), seen.get('v3')]
    expect(v1 + v3 === 200 && v1 > 60 && v3 > 60, JSON.stringify([...seen]))
    return `${v1} : ${v3} of 200`
  })

  await gatewayCredentials(scenario, {
    keep: (name, files) => mesh.keepCredential(name, files),
    configure: (yaml) => mesh.configure('secure.yaml', yaml),
    ...{ port: mesh.tlsPort, gatewayPort: mesh.tlsPort, folder: join(mesh.folder, 'certificates') },
  })

  const traffic = new Traffic(pages, 2, pageProblem)
  try {
    scenario.section('while traffic runs')
    await scenario.attempt('a failing check drains an endpoint, and one that passes again brings it back', async () => {
      await mesh.configure('reviews.yaml', reviewsRoute([['v2', 50], ['v3', 50]])) // biome-ignore format: one line
      await shown('v2,v3')
      await mesh.configure('reviews.yaml', anyReviews)
      await shown('v1,v2,v3')
      const startedMs = performance.now()
      health.fail('reviews-v2')
      await untilEndpoints(2)
      const tookMs = performance.now() - startedMs
      await shown('v1,v3')
      health.pass('reviews-v2')
      await untilEndpoints(3)
      await shown('v1,v2,v3')
      return `out after ${Math.round(tookMs)} ms, the check's own interval of 500 ms included`
    })
    await scenario.attempt('an instance that is deregistered takes no more requests, and comes back', async () => {
      await platform.remove('reviews-v3')
      await untilEndpoints(2)
      await shown('v1,v2')
      await platform.add('reviews-v3')
      await untilEndpoints(3)
      await shown('v1,v2,v3')
      return undefined
    })
    await scenario.attempt(`${name} restarts: nothing is lost, and what changes after it is known`, async () => {
      await platform.restart()
      const failuresBefore = traffic.failed
      await platform.remove('reviews-v2')
      await untilEndpoints(2)
      await platform.add('reviews-v2')
      await untilEndpoints(3)
      await until(
        async () =>
          (await mesh.pilot<{ registries: { problem?: string }[] }>('/v1/status')).registries.every((one) => !one.problem),
        'Pilot to say that all is well',
        undefined,
        patienceMs,
      )
      expect(traffic.failed === failuresBefore, traffic.describe())
      return undefined
    })
    await scenario.attempt('Pilot restarts: proxies go on, and have the changes after it', async () => {
      await mesh.restartPilot(platform.registry)
      await untilEndpoints(3)
      await platform.remove('reviews-v1')
      await shown('v2,v3')
      await platform.add('reviews-v1')
      await shown('v1,v2,v3')
      return undefined
    })
  } finally {
    await traffic.end()
  }
  await scenario.attempt('in all of it no request was lost', () => {
    expect(traffic.failed === 0, traffic.describe())
    return traffic.describe()
  })
}

function failed(): { status: number; body: string; headers: Record<string, string> } {
  return { status: 0, body: '', headers: {} }
}

const subsets = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
    - { name: v3, labels: { version: v3 } }
---
`
/** No route of its own: every endpoint takes its share. */
const anyReviews = subsets

function reviewsRoute(split: readonly [subset: string, weight: number][]): string {
  const route = split.map(([subset, weight]) => `{ destination: { host: reviews, subset: ${subset} }, weight: ${weight} }`)
  return `${subsets}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http: [{ route: [${route.join(', ')}] }]
`
}
