import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../processes.ts'
import { type MeshUnderTest, samples } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'
import { Traffic, tally } from '../traffic.ts'
import { page, pageProblem, signIn, versionsSeen } from './pages.ts'

const sample = (name: string): string => join(samples, `${name}.yaml`)
const splitRequests = 5_000

/** Istio's own Bookinfo samples, unmodified, each applied while traffic runs; no request of that traffic may fail. */
export async function samplesChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section("Istio's samples, applied while traffic runs")
  const origin = mesh.gateway
  const traffic = new Traffic(`${origin}/productpage`, 2, pageProblem)
  scenario.cleanup(() => void traffic.end())
  const takes = (what: string, file: string, effect: () => Promise<string | undefined>): Promise<boolean> =>
    scenario.attempt(`${file}: ${what}`, async () => {
      await mesh.apply(sample(file))
      return effect()
    })

  await scenario.attempt('without rules all versions of reviews take turns', async () => {
    const seen = await versionsSeen(origin, 30)
    expect(seen.size === 3, `saw ${[...seen].join(', ')}`)
    return undefined
  })
  await scenario.attempt('destination-rule-all and virtual-service-all-v1: every page is of reviews v1', async () => {
    await mesh.apply(sample('destination-rule-all'))
    await mesh.apply(sample('virtual-service-all-v1'))
    return onlyVersion(origin, 'v1', 30)
  })
  await takes('every page is of reviews v1 still, over mutual TLS', 'destination-rule-all-mtls', () =>
    onlyVersion(origin, 'v1', 20),
  )
  await takes('80 of 100 go to v1, 20 to v2', 'virtual-service-reviews-80-20', () => split(origin))

  const jason = await signIn(origin, 'jason')
  const others = await signIn(origin, 'ann')
  await takes('who signs in as jason sees v2, others v1', 'virtual-service-reviews-test-v2', async () => {
    await onlyVersion(origin, 'v2', 10, jason)
    await onlyVersion(origin, 'v1', 10, others)
    return onlyVersion(origin, 'v1', 10)
  })
  await takes('jason alone waits, and his page lacks reviews', 'virtual-service-ratings-test-delay', async () => {
    const started = performance.now()
    const slow = await page(origin, jason)
    const waitedMs = performance.now() - started
    expect(slow.status === 200, `status ${slow.status}`)
    expect(slow.body.includes('Error fetching product reviews'), 'the page has reviews in spite of the delay')
    expect(waitedMs > 5_900 && waitedMs < 8_000, `it took ${Math.round(waitedMs)} ms; the page gives up twice after 3 s`)
    const quickly = performance.now()
    expect(pageProblem(await page(origin, others)) === undefined, 'the page of another user is not whole')
    expect(performance.now() - quickly < 2_500, 'another user waits too')
    return `jason waited ${(waitedMs / 1000).toFixed(1)} s`
  })
  await takes('jason alone has no ratings', 'virtual-service-ratings-test-abort', async () => {
    const broken = await page(origin, jason)
    expect(broken.status === 200 && broken.body.includes('Ratings service is currently unavailable'), 'jason sees ratings')
    return onlyVersion(origin, 'v1', 5, others)
  })
  await scenario.attempt('a cookie can be matched', async () => {
    const file = join(mesh.stateFolder, 'cookie-match.yaml')
    await writeFile(file, cookieMatch(others))
    await mesh.apply(file)
    await onlyVersion(origin, 'v3', 5, others)
    return onlyVersion(origin, 'v1', 5, jason)
  })
  await scenario.attempt('rules are taken back', async () => {
    for (const file of ['virtual-service-all-v1', 'destination-rule-all']) {
      const { code, output } = await mesh.weft('delete', '-f', sample(file))
      expect(code === 0, output)
    }
    await until(async () => (await versionsSeen(origin, 15)).size === 3, 'all versions of reviews to take turns again')
    return undefined
  })
  await traffic.end()
  await scenario.attempt('no request failed meanwhile', () => {
    expect(traffic.failed === 0, traffic.describe())
    return `${traffic.sent} pages`
  })
}

async function onlyVersion(origin: string, version: string, count: number, cookie?: string): Promise<string | undefined> {
  const seen = await versionsSeen(origin, count, cookie)
  expect(seen.size === 1 && seen.has(version), `saw ${[...seen].join(', ')} in ${count} pages, expected ${version} alone`)
  return undefined
}

/** The share of v2 in many requests lies within four standard deviations of a fifth (true in 99.99 % of runs). */
async function split(origin: string): Promise<string> {
  const counts = await tally(`${origin}/api/v1/products/0/reviews`, splitRequests, 16, ({ status, body }) => {
    if (status !== 200) return `status ${status}`
    return body.includes('"color":"black"') ? 'v2' : body.includes('"rating"') ? 'another version' : 'v1'
  })
  const [v1, v2] = [counts.get('v1') ?? 0, counts.get('v2') ?? 0]
  const told = [...counts].map(([kind, count]) => `${count} × ${kind}`).join(', ')
  expect(v1 + v2 === splitRequests, `not every request went to v1 or v2: ${told}`)
  const deviation = 4 * Math.sqrt(splitRequests * 0.2 * 0.8)
  expect(Math.abs(v2 - splitRequests * 0.2) <= deviation, `${told}: further than ${deviation.toFixed(0)} from a fifth`)
  return told
}

function cookieMatch(cookie: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - match: [{ headers: { cookie: { regex: "(.*; )?${cookie.replaceAll('.', '\\\\.')}(;.*)?" } } }]
      route: [{ destination: { host: reviews, subset: v3 } }]
    - route: [{ destination: { host: reviews, subset: v1 } }]
`
}
