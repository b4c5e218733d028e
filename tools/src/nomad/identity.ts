import { createPrivateKey, createPublicKey, createSign, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import type { Allocation, Identity } from './state.ts'

/** Signs workload identities as Nomad's keyring does: RS256, with the key's id in the header. */
export class WorkloadIdentities {
  readonly #key: KeyObject
  readonly #kid = randomUUID()

  constructor() {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#key = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  }

  /** `/.well-known/jwks.json`. */
  keySet(): object {
    return { keys: [{ ...createPublicKey(this.#key).export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: this.#kid }] }
  }

  /** A task's identity. Times in seconds. */
  sign(allocation: Allocation, task: string, identity: Identity, issuer: string | undefined): string {
    const now = Math.floor(Date.now() / 1_000)
    const { JobID, Namespace, TaskGroup, ID } = allocation
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const body = {
      ...(issuer === undefined ? {} : { iss: issuer }),
      sub: `global:${Namespace}:${JobID}:${TaskGroup}:${task}:${identity.Name}`,
      aud: identity.Audience ?? [],
      iat: now,
      nbf: now,
      exp: now + (identity.TTL ?? 3_600e9) / 1e9,
      jti: randomUUID(),
      nomad_namespace: Namespace,
      nomad_job_id: JobID,
      nomad_allocation_id: ID,
      nomad_task: task,
    }
    const signed = `${part({ alg: 'RS256', kid: this.#kid, typ: 'JWT' })}.${part(body)}`
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(this.#key).toString('base64url')}`
  }
}
