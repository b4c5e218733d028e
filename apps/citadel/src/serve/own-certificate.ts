import { setTimeout as delay } from 'node:timers/promises'
import type { CertificateHolder } from '@weft/identity/certificate-holder'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { renewalDelayMs, retryDelayMs } from '@weft/identity/rotation'
import { workloadId } from '@weft/identity/spiffe-id'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import type { CurrentAuthority } from '../authority/current.ts'
import { issueForKey } from '../issue/issuer.ts'

export interface OwnCertificateOptions {
  authority: CurrentAuthority
  trustDomain: string
  ttlSeconds: number
  /** Names under which Citadel is reached, beside localhost and citadel. */
  dnsNames: readonly string[]
  holder: CertificateHolder
  lifecycle: Lifecycle
  logger: Logger
}

/** The service account under which Citadel itself appears. */
function ownIdentity(trustDomain: string) {
  return workloadId(trustDomain, 'istio-system', 'citadel')
}

/**
 * Keeps Citadel's own server certificate fresh in `holder`: issued by its own authority, renewed at 60–80 % of its life and
 * whenever the authority changes. Resolves when the first one is there.
 */
export async function keepOwnCertificate(options: OwnCertificateOptions): Promise<void> {
  const { authority, trustDomain, ttlSeconds, dnsNames, holder, lifecycle, logger } = options
  const identity = ownIdentity(trustDomain)
  const renew = async (): Promise<number> => {
    const keys = await createKeyPair()
    const current = authority.get()
    const { chain, bundlePem, notAfter } = issueForKey(current, identity, publicKeyDer(keys.publicKey), ttlSeconds, {
      dns: [...new Set(['localhost', 'citadel', 'citadel.istio-system.svc', 'istio-citadel', ...dnsNames])],
      ips: ['127.0.0.1', '::1'],
    })
    const issuedAt = new Date()
    holder.set({
      id: identity.uri,
      privateKeyPem: privateKeyPem(keys.privateKey),
      chainPem: chain.join(''),
      bundlePem,
      roots: current.roots,
      issuedAt,
      notAfter,
    })
    return renewalDelayMs(issuedAt, notAfter, issuedAt)
  }
  let waitMs = await renew()
  const keepFresh = async (): Promise<void> => {
    let failures = 0
    while (!lifecycle.signal.aborted) {
      const changed = new AbortController()
      const endFollowing = authority.onChange(() => changed.abort())
      await delay(waitMs, undefined, { signal: AbortSignal.any([lifecycle.signal, changed.signal]) }).catch(() => undefined)
      endFollowing()
      if (lifecycle.signal.aborted) return
      try {
        waitMs = await renew()
        failures = 0
      } catch (error) {
        logger.error({ err: error }, "Citadel's own certificate was not renewed")
        waitMs = retryDelayMs(failures, 1_000, 60_000)
        failures += 1
      }
    }
  }
  const running = keepFresh()
  lifecycle.onStop('own certificate', () => running)
}
