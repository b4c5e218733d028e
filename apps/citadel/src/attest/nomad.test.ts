import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createNomadAttestor } from './nomad.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
let folder: string
let jwks: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nomad-attestor-'))
  jwks = join(folder, 'jwks.json')
  await writeFile(
    jwks,
    JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'a', use: 'sig', alg: 'RS256' }] }),
  )
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A token as Nomad documents it, with other claims where given. */
function token(claims: object = {}, key = privateKey): string {
  const now = Math.floor(Date.now() / 1_000)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const body = {
    ...{ sub: 'global:default:reviews:web:sidecar:weft', aud: 'weft', iat: now, nbf: now, exp: now + 600, jti: 'x' },
    ...{ nomad_namespace: 'default', nomad_job_id: 'reviews', nomad_allocation_id: 'f5', nomad_task: 'sidecar' },
    ...claims,
  }
  const signed = `${part({ alg: 'RS256', kid: 'a', typ: 'JWT' })}.${part(body)}`
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`
}

const attestor = (issuer = '') => createNomadAttestor({ jwks, issuer, audiences: ['weft'], trustDomain: 'cluster.local' })

it('a workload identity is the identity of its job', async () => {
  expect((await attestor().attest(token()))?.uri).toBe('spiffe://cluster.local/ns/default/sa/reviews')
  expect((await attestor().attest(token({ nomad_namespace: 'team-a', nomad_job_id: 'Reviews' })))?.uri).toBe(
    'spiffe://cluster.local/ns/team-a/sa/Reviews',
  )
})

it("an issuer is asked for where Nomad has one, and tokens of others are not Nomad's", async () => {
  const issuer = 'https://nomad.example'
  expect((await attestor(issuer).attest(token({ iss: issuer })))?.uri).toContain('/sa/reviews')
  expect(await attestor(issuer).attest(token())).toBeUndefined()
  expect(await attestor().attest(token({ iss: issuer }))).toBeUndefined()
  expect(await attestor().attest(token({ nomad_job_id: undefined }))).toBeUndefined()
})

it('it has to hold: signature, audience, expiry, and what it says of its allocation', async () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  await expect(attestor().attest(token({}, other))).rejects.toThrow('not signed by a key')
  await expect(attestor().attest(token({ aud: 'consul.io' }))).rejects.toThrow('none of its audiences')
  await expect(attestor().attest(token({ exp: 1 }))).rejects.toThrow('has expired')
  await expect(attestor().attest(token({ nomad_allocation_id: undefined }))).rejects.toThrow('does not say its namespace')
})

it('a job whose id cannot stand in a SPIFFE id gets none', async () => {
  await expect(attestor().attest(token({ nomad_job_id: 'reviews/dispatch-1' }))).rejects.toThrow('names no workload')
  await expect(attestor().attest(token({ nomad_job_id: '..' }))).rejects.toThrow('names no workload')
})
