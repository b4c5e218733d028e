import { generateKeyPairSync } from 'node:crypto'
import { privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { renewalDelayMs, retryDelayMs } from '@weft/identity/rotation'
import { WeftError } from '@weft/service/errors'
import type { Attested } from '../../attest/attestation.ts'
import type { Authority } from '../../authority/authority.ts'
import type { CurrentAuthority } from '../../authority/current.ts'
import type { Desk } from '../../issue/desk.ts'
import { issueForKey } from '../../issue/issuer.ts'
import { type IssuePolicy, lifetimeSeconds } from '../../issue/policy.ts'
import { identitySecret, secretNames, trustSecret, type VersionedSecret } from './secret.ts'

export interface SubscriptionOptions {
  desk: Desk
  authority: CurrentAuthority
  policy: IssuePolicy
}

/**
 * The secrets that one stream follows: each is delivered when it is asked for and again whenever it changes. The identity's
 * key is made here, for this stream alone, and replaced with its certificate at 60–80 % of its life.
 */
export class SecretSubscription {
  readonly #options: SubscriptionOptions
  readonly #caller: Attested
  readonly #deliver: (secrets: VersionedSecret[]) => void
  readonly #fail: (error: WeftError) => void
  readonly #names = new Set<string>()
  /** The authority of the trust bundle and of the identity that were delivered last. */
  #trustOf: Authority | undefined
  #issuedBy: Authority | undefined
  readonly #endFollowing: () => void
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** `fail` is called when a secret cannot be made for the first time; a failed rotation keeps the old one and is retried. */
  constructor(
    options: SubscriptionOptions,
    caller: Attested,
    deliver: (secrets: VersionedSecret[]) => void,
    fail: (error: WeftError) => void,
  ) {
    this.#options = options
    this.#caller = caller
    this.#deliver = deliver
    this.#fail = fail
    this.#endFollowing = options.authority.onChange(() => {
      if (this.#names.has(secretNames.trust)) this.#deliver([this.#makeTrust()])
      if (this.#names.has(secretNames.identity)) void this.#rotate(0)
    })
  }

  /** Whether all that was asked for has been delivered as the authority in force would have it. */
  get isCurrent(): boolean {
    const authority = this.#options.authority.get()
    if (this.#names.has(secretNames.trust) && this.#trustOf !== authority) return false
    return !this.#names.has(secretNames.identity) || this.#issuedBy === authority
  }

  get caller(): Attested {
    return this.#caller
  }

  /** Adds names and delivers their secrets together; gives the names that nobody serves. */
  subscribe(names: readonly string[]): string[] {
    const added = names.filter((name) => !this.#names.has(name))
    const known = added.filter(isKnown)
    for (const name of known) this.#names.add(name)
    if (known.length > 0) void this.#deliverFirst(known)
    return added.filter((name) => !isKnown(name))
  }

  /** Drops names; their secrets are made anew when they are asked for again. */
  unsubscribe(names: readonly string[]): void {
    for (const name of names) this.#names.delete(name)
    if (!this.#names.has(secretNames.identity)) this.#stopTimer()
  }

  /** Makes the subscribed names exactly these; gives the names that nobody serves. */
  replace(names: readonly string[]): string[] {
    this.unsubscribe([...this.#names].filter((name) => !names.includes(name)))
    return this.subscribe(names)
  }

  close(): void {
    this.#closed = true
    this.#stopTimer()
    this.#endFollowing()
  }

  async #deliverFirst(names: string[]): Promise<void> {
    try {
      const secrets: VersionedSecret[] = []
      for (const name of names) {
        secrets.push(name === secretNames.trust ? this.#makeTrust() : await this.#makeIdentity())
      }
      if (!this.#closed) this.#deliver(secrets)
    } catch (thrown) {
      if (!this.#closed) this.#fail(WeftError.from(thrown))
    }
  }

  #makeTrust(): VersionedSecret {
    this.#trustOf = this.#options.authority.get()
    return trustSecret(this.#trustOf.bundlePem)
  }

  async #makeIdentity(): Promise<VersionedSecret> {
    const { desk, policy } = this.#options
    const { secret, notAfter, authority } = await makeIdentity(desk, policy, this.#caller, 'sds')
    this.#issuedBy = authority
    this.#schedule(renewalDelayMs(new Date(), notAfter, new Date()), 0)
    return secret
  }

  #schedule(delayMs: number, failures: number): void {
    this.#stopTimer()
    if (this.#closed || !this.#names.has(secretNames.identity)) return
    this.#timer = setTimeout(() => void this.#rotate(failures), delayMs)
  }

  async #rotate(failures: number): Promise<void> {
    try {
      const secret = await this.#makeIdentity()
      if (!this.#closed && this.#names.has(secretNames.identity)) this.#deliver([secret])
    } catch {
      // The desk has logged and counted the reason; the certificate in use holds for 20–40 % of its life yet.
      this.#schedule(retryDelayMs(failures, 1_000, 60_000), failures + 1)
    }
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** A fresh key with its certificate, as a secret. P-256 keys cost 20 µs, so they are made in turn with the signature. */
export async function makeIdentity(
  desk: Desk,
  policy: IssuePolicy,
  caller: Attested,
  api: 'sds' | 'sds-fetch',
): Promise<{ secret: VersionedSecret; notAfter: Date; authority: Authority }> {
  let keyPem = ''
  const { chain, notAfter, authority } = await desk.renew(api, caller, (authority) => {
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    keyPem = privateKeyPem(keys.privateKey)
    return issueForKey(authority, caller.identity, publicKeyDer(keys.publicKey), lifetimeSeconds(0, policy))
  })
  return { secret: identitySecret(keyPem, chain.join('')), notAfter, authority }
}

function isKnown(name: string): boolean {
  return name === secretNames.identity || name === secretNames.trust
}
