/**
 * The scenario `end-user`: tokens of a real OpenID Connect issuer, and AuthorizationPolicies by claim and by service account,
 * in a local mesh.
 */

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../processes.ts'
import { Issuer, tampered, unsigned } from './end-user/issuer.ts'
import { authentication, dryRun, membersOnly, ratingsFor, staffOnly } from './end-user/policies.ts'
import { MeshUnderTest } from './mesh-under-test.ts'
import { expect, type Scenario } from './scenario.ts'
import { get } from './traffic.ts'

export async function endUserScenario(scenario: Scenario): Promise<void> {
  scenario.section('an issuer, and a mesh')
  const [issuer, foreign] = [await Issuer.start('ours'), await Issuer.start('theirs')]
  scenario.cleanup(() => issuer.close())
  scenario.cleanup(() => foreign.close())
  const mesh = await MeshUnderTest.start([])
  scenario.cleanup(() => mesh.stop())
  const context: Context = { scenario, mesh, issuer, foreign, api: `${mesh.gateway}/api/v1/products` }
  await scenario.attempt('before there are policies the API answers everybody', async () => {
    await answers(`${context.api}/0`, undefined, 200)
    return undefined
  })
  await tokenChecks(context)
  await claimChecks(context)
  await serviceAccountChecks(context)
}

interface Context {
  readonly scenario: Scenario
  readonly mesh: MeshUnderTest
  readonly issuer: Issuer
  readonly foreign: Issuer
  /** URL of the productpage's API. */
  readonly api: string
}

async function tokenChecks({ scenario, mesh, issuer, foreign, api }: Context): Promise<void> {
  scenario.section('a path is open for a token alone')
  const product = `${api}/0`
  await applyYaml(mesh, authentication(issuer.url, issuer.jwksUri), membersOnly)
  const token = await issuer.token('ann')
  await scenario.attempt("the issuer's token opens it", () => answers(product, token, 200))
  await scenario.attempt('without one it stays shut, and the access log names the policy', async () => {
    await answers(product, undefined, 403)
    return logged(mesh, 'productpage-v1', 'rbac_access_denied_matched_policy[ns[default]-policy[members-only]-rule[0]]')
  })
  const now = Math.floor(Date.now() / 1000)
  const bad: Record<string, string | Promise<string>> = {
    expired: issuer.sign({ exp: now - 3_600 }),
    'not valid yet': issuer.sign({ nbf: now + 3_600, exp: now + 7_200 }),
    'for another audience': issuer.sign({ aud: 'urn:other', exp: now + 600 }),
    "of an issuer that isn't ours": foreign.token('ann'),
    "with our issuer's name, signed by another": foreign.sign({ exp: now + 600 }, issuer.url),
    'tampered with': tampered(token, { sub: 'root', groups: ['staff'] }),
    'without a signature': unsigned(token),
    'that is no token': 'nonsense',
  }
  for (const [what, made] of Object.entries(bad)) {
    await scenario.attempt(`a token ${what} does not`, async () =>
      answers(product, await made, what === 'for another audience' ? 403 : 401),
    )
  }
  await scenario.attempt('the access log says what was wrong with one', () =>
    logged(mesh, 'productpage-v1', 'jwt_authn_access_denied{Jwt_is_expired}'),
  )
  await scenario.attempt('a bad token is refused also where none is needed; a page without one is not', async () => {
    await answers(`${mesh.gateway}/productpage`, 'nonsense', 401)
    return answers(`${mesh.gateway}/productpage`, undefined, 200)
  })
  await scenario.attempt('no spelling of the path gets around it', async () => {
    const spellings = [
      '/api/v1/x/../products/0',
      '/./api/v1/products/0',
      '/api/v1/products/%30',
      '/api/v1/products/0?a=/productpage',
    ]
    for (const spelling of spellings) {
      const { status } = await get(`${mesh.gateway}${spelling}`)
      expect(status === 403 || status === 404, `${spelling} is answered with ${status}`)
    }
    return spellings.join(' ')
  })
}

async function claimChecks({ scenario, mesh, issuer, api }: Context): Promise<void> {
  scenario.section('a policy by claim')
  await applyYaml(mesh, staffOnly)
  const [ann, bob] = [await issuer.token('ann'), await issuer.token('bob')]
  const ratings = `${api}/0/ratings`
  await scenario.attempt('staff gets through', () => answers(ratings, bob, 200))
  await scenario.attempt('a customer does not, and the access log names the policy', async () => {
    await answers(ratings, ann, 403)
    return logged(mesh, 'productpage-v1', 'ns[default]-policy[staff-only]-rule[0]')
  })
  await scenario.attempt('the customer keeps what is for all with a token', () => answers(`${api}/0`, ann, 200))
  await scenario.attempt('a claim that was only written in changes nothing', () =>
    answers(ratings, tampered(ann, { groups: ['staff'] }), 401),
  )
  await scenario.attempt('once the policy is gone, all with a token get through', async () => {
    const { code, output } = await mesh.weft('delete', 'AuthorizationPolicy', 'staff-only')
    expect(code === 0, output)
    await until(async () => (await get(ratings, bearer(ann))).status === 200, 'the policy to be gone')
    return undefined
  })
}

async function serviceAccountChecks({ scenario, mesh }: Context): Promise<void> {
  scenario.section('a policy by service account')
  const from = (workload: string): string => `http://${mesh.outbound(workload, 'ratings')}:9080/ratings/0`
  await scenario.attempt('before it, all sidecars may call ratings', async () => {
    await answers(from('productpage-v1'), undefined, 200)
    return answers(from('reviews-v2'), undefined, 200)
  })
  await applyYaml(mesh, ratingsFor('bookinfo-reviews'))
  await scenario.attempt('the one that it names may', () => answers(from('reviews-v2'), undefined, 200))
  await scenario.attempt('another may not, and the access log says that no policy let it in', async () => {
    await answers(from('productpage-v1'), undefined, 403)
    return logged(mesh, 'ratings-v1', 'rbac_access_denied_matched_policy[none]')
  })
  await applyYaml(mesh, ratingsFor('bookinfo-productpage'))
  await scenario.attempt('and the other way round when it names the other', async () => {
    await answers(from('reviews-v2'), undefined, 403)
    return answers(from('productpage-v1'), undefined, 200)
  })
  await applyYaml(mesh, dryRun)
  await scenario.attempt('what is a dry run refuses nobody', () =>
    answers(`http://${mesh.outbound('productpage-v1', 'details')}:9080/details/0`, undefined, 200),
  )
}

let files = 0

async function applyYaml(mesh: MeshUnderTest, ...documents: string[]): Promise<void> {
  const file = join(mesh.stateFolder, `end-user-${files++}.yaml`)
  await writeFile(file, documents.join('---\n'))
  await mesh.apply(file)
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
}

/** Asks once; what was in force when the policies were applied has to hold at once. */
async function answers(url: string, token: string | undefined, status: number): Promise<string> {
  const answer = await get(url, bearer(token))
  expect(
    answer.status === status,
    `${new URL(url).pathname} is answered with ${answer.status}, not ${status}: ${answer.body.slice(0, 200)}`,
  )
  return status === 200 ? '200' : `${status} ${answer.body.slice(0, 60)}`
}

/** Waits until the access log of a workload's sidecar has a line with this text; gives it. */
async function logged(mesh: MeshUnderTest, workload: string, words: string): Promise<string> {
  const { log } = mesh.part(`${workload}-sidecar`)
  const find = (): string | undefined =>
    readFileSync(log, 'utf8')
      .split('\n')
      .find((line) => line.includes(words))
  await until(() => find() !== undefined, `the access log to have ${words}`, undefined, 10_000)
  return words
}
