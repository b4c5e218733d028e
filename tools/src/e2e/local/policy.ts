import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../processes.ts'
import type { MeshUnderTest } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'
import { type Answer, get } from '../traffic.ts'

/** Mixer decides: a denier rule, and the policy that the Bookinfo folder comes with. */
export async function policyChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('policy by Mixer')
  const asDetails = `http://${mesh.outbound('details-v1', 'ratings')}:9080/ratings/0`
  await scenario.attempt("Bookinfo's own policy: who is neither reviews nor productpage is denied ratings", async () => {
    const answer = await get(asDetails)
    expect(answer.status === 403, `details was answered ${answer.status}: ${answer.body}`)
    expect(answer.body.includes('ratings-callers'), `the answer does not name the rule: ${answer.body}`)
    return answer.body
  })
  const asProductpage = `http://${mesh.outbound('productpage-v1', 'details')}:9080/details/0`
  const file = join(mesh.stateFolder, 'denier.yaml')
  await writeFile(file, denier)
  await scenario.attempt("a denier rule answers 403 with the rule's name", async () => {
    expect((await get(asProductpage)).status === 200, 'details is denied before there is a rule')
    await mesh.apply(file)
    const answer = await untilStatus(asProductpage, 403)
    expect(answer.body.includes('closed-for-a-test'), `the answer does not name the rule: ${answer.body}`)
    return answer.body
  })
  await scenario.attempt('and no longer when it is deleted', async () => {
    const { code, output } = await mesh.weft('delete', '-f', file)
    expect(code === 0, output)
    await untilStatus(asProductpage, 200)
    return undefined
  })
}

/** A quota in Redis holds for both Mixers together. */
export async function quotaChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('a quota in Redis, two Mixers')
  const file = join(mesh.stateFolder, 'quota.yaml')
  await writeFile(file, quota)
  const url = `http://${mesh.outbound('productpage-v1', 'details')}:9080/details/0`
  await scenario.attempt('5 requests in 10 s pass, then 429', async () => {
    await mesh.apply(file)
    // The windows before the rule is known everywhere do not count: begin with a fresh one after a refusal.
    await until(async () => (await get(url)).status === 429, 'a first refusal', undefined, 30_000)
    await until(async () => (await get(url)).status === 200, 'the next window', undefined, 30_000)
    const windows: number[] = []
    for (let round = 0; round < 2; round++) {
      let passed = 1
      let refused = 0
      while (refused < 5) {
        const { status } = await get(url)
        if (status === 200) passed++
        else if (status === 429) refused++
        else throw new Error(`answered ${status}`)
      }
      windows.push(passed)
      if (round === 0) await until(async () => (await get(url)).status === 200, 'the next window', undefined, 30_000)
    }
    expect(
      windows.every((passed) => passed === 5),
      `passed in a window: ${windows.join(', ')}`,
    )
    return `passed in a window: ${windows.join(', ')}`
  })
  await scenario.attempt('both Mixers were asked', async () => {
    const asked = await Promise.all(mesh.state().mixers.map(({ admin }) => checksAnswered(admin)))
    expect(asked.length === 2 && asked.every((count) => count > 0), `checks answered: ${asked.join(', ')}`)
    return `checks answered: ${asked.join(', ')}`
  })
  await mesh.weft('delete', '-f', file)
  await scenario.attempt('without the quota all pass again', async () => {
    await untilStatus(url, 200)
    for (let request = 0; request < 12; request++) expect((await get(url)).status === 200, 'still refused')
    return undefined
  })
}

/** Mixer's own metrics tell who called whom. */
export async function telemetryChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('telemetry by Mixer')
  await scenario.attempt('istio_requests_total has source and destination', async () => {
    await get(`${mesh.gateway}/productpage`)
    let found = ''
    await until(async () => {
      const texts = await Promise.all(mesh.state().mixers.map(async ({ admin }) => (await get(`http://${admin}/metrics`)).body))
      found = texts.join('\n').split('\n').find(isCallOfReviews) ?? ''
      return found !== ''
    }, 'istio_requests_total of productpage calling reviews')
    return found
  })
}

function isCallOfReviews(line: string): boolean {
  const labels = ['source_app="productpage"', 'destination_app="reviews"', 'response_code="200"']
  return line.startsWith('istio_requests_total{') && labels.every((label) => line.includes(label))
}

async function checksAnswered(admin: string): Promise<number> {
  const { body } = await get(`http://${admin}/metrics`)
  const counts = [...body.matchAll(/^mixer_check_total(?:\{[^}]*\})? (\d+)/gm)].map((match) => Number(match[1]))
  return counts.reduce((sum, count) => sum + count, 0)
}

export async function untilStatus(url: string, status: number): Promise<Answer> {
  let answer: Answer = { status: 0, body: '', headers: {} }
  await until(
    async () => {
      answer = await get(url)
      return answer.status === status
    },
    `${url} to answer ${status}`,
    undefined,
    20_000,
  )
  return answer
}

const denier = `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: closed }
spec: { compiledAdapter: denier, params: { status: { code: 7, message: closed } } }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: anything }
spec: { compiledTemplate: checknothing }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: closed-for-a-test }
spec:
  match: destination.labels["app"] == "details"
  actions: [{ handler: closed, instances: [anything] }]
`

export const quota = `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: few }
spec:
  compiledAdapter: redisquota
  params:
    quotas: [{ name: details-requests.instance.default, maxAmount: 5, validDuration: 10s, rateLimitAlgorithm: FIXED_WINDOW }]
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: details-requests }
spec:
  compiledTemplate: quota
  params:
    dimensions:
      destination: destination.labels["app"] | "unknown"
---
apiVersion: config.istio.io/v1alpha2
kind: QuotaSpec
metadata: { name: details-requests }
spec: { rules: [{ quotas: [{ quota: details-requests.instance.default, charge: 1 }] }] }
---
apiVersion: config.istio.io/v1alpha2
kind: QuotaSpecBinding
metadata: { name: details-requests }
spec: { quotaSpecs: [{ name: details-requests, namespace: default }], services: [{ name: details, namespace: default }] }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: details-quota }
spec:
  match: destination.labels["app"] == "details"
  actions: [{ handler: few, instances: [details-requests] }]
`
