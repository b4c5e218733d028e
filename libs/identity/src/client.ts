import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type ChannelCredentials, credentials, Metadata, type ServerCredentials } from '@grpc/grpc-js'
import { type IstioCertificateResponse, IstioCertificateServiceClient } from '@weft/contracts/istio/v1/auth/ca'
import type { Readiness } from '@weft/service/admin-server'
import { WeftError } from '@weft/service/errors'
import { clientOptions, unary } from '@weft/service/grpc'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import { Counter, Gauge, type Registry } from '@weft/service/metrics'
import { CertificateHolder, type IdentityMaterial } from './certificate-holder.ts'
import { createCertificateRequest } from './certificate-request.ts'
import { type ExpectedPeer, peerCheck, rotatingChannelCredentials, rotatingServerCredentials } from './credentials.ts'
import { readJoinToken } from './join-token.ts'
import { createKeyPair, privateKeyPem } from './keys.ts'
import { renewalDelayMs, retryDelayMs } from './rotation.ts'
import { parseSpiffeId, workloadId } from './spiffe-id.ts'
import { parseCertificates, verifyChain } from './verify.ts'

export interface IdentityOptions {
  /** `host:port` of Citadel's gRPC server. */
  citadelAddress: string
  /** PEM file of the root by which Citadel's own certificate is verified; read again at each attempt. */
  rootCertFile: string
  /** File with the join token, or with a service-account token that Kubernetes projects; read again at each attempt. */
  joinTokenFile: string
  /** Of the identity that a service-account token stands for (default: `cluster.local`). */
  trustDomain?: string
  /** The SPIFFE id to ask for; the join token's by default. */
  identity?: string
  /** DNS names to ask for beside it: Citadel gives that of the Service named like the service account. */
  dnsNames?: string[]
  /** Wanted lifetime of certificates; Citadel's default when absent. */
  ttlSeconds?: number
  logger: Logger
  lifecycle: Lifecycle
  /** Held under `identity` until there is a certificate. */
  readiness: Readiness
  /** Where the expiry gauge and the counter of failures go. */
  registry?: Registry
}

/** A workload's identity, kept fresh for as long as the service runs. */
export interface Identity {
  /** The current key, chain and bundle; undefined until Citadel has answered for the first time. */
  current(): IdentityMaterial | undefined
  /** Resolves with the first certificate; rejects when the service stops before. */
  ready(): Promise<IdentityMaterial>
  /** Calls `listener` with every new certificate; gives the function that ends it. */
  onChange(listener: (material: IdentityMaterial) => void): () => void
  /** mTLS server credentials; may be bound before there is a certificate. */
  serverCredentials(clientCertificate: 'required' | 'optional'): ServerCredentials
  /** mTLS channel credentials for servers with the expected SPIFFE id; calls wait until there is a certificate. */
  channelCredentials(expected: ExpectedPeer): ChannelCredentials
}

const deadlineMs = 5_000
const retryLeastMs = 100
const retryMostMs = 5_000

/** Longest wait of a service before it fetches a certificate of a new authority. */
const renewAfterPushMs = 2_000

/**
 * Obtains a certificate from Citadel and keeps it fresh: the key is made here and never leaves; renewal falls at a random
 * point of 60–80 % of the certificate's life; a failure keeps the old one and is retried with back-off and jitter. Returns at
 * once: while Citadel is not up, it is tried again and readiness is held.
 */
export function createIdentity(options: IdentityOptions): Identity {
  const { logger, lifecycle, readiness, registry } = options
  const holder = new CertificateHolder()
  const metrics = registry === undefined ? undefined : identityMetrics(registry, holder)
  readiness.hold('identity', `waiting for a certificate from Citadel at ${options.citadelAddress}`)

  // Cuts the wait for the next renewal short.
  let wake = new AbortController()
  const pause = async (ms: number): Promise<void> => {
    await delay(ms, undefined, { signal: AbortSignal.any([lifecycle.signal, wake.signal]) }).catch(() => undefined)
    if (wake.signal.aborted) wake = new AbortController()
  }
  const keepFresh = async (): Promise<void> => {
    let failures = 0
    while (!lifecycle.signal.aborted) {
      try {
        const material = await requestCertificate(options, holder.current())
        failures = 0
        holder.set(material)
        readiness.release('identity')
        const waitMs = renewalDelayMs(material.issuedAt, material.notAfter, new Date())
        logger.info({ id: material.id, notAfter: material.notAfter, renewInMs: Math.round(waitMs) }, 'certificate received')
        await pause(waitMs)
      } catch (thrown) {
        if (lifecycle.signal.aborted) return
        const error = WeftError.from(thrown)
        const waitMs = retryDelayMs(failures, retryLeastMs, retryMostMs)
        failures += 1
        metrics?.failures.inc({ code: error.code })
        const level = error.code === 'unavailable' && holder.current() === undefined && failures < 20 ? 'debug' : 'warn'
        logger[level]({ code: error.code, retryInMs: Math.round(waitMs) }, `no certificate: ${error.describe()}`)
        readinessAfterFailure(options, holder.current(), error)
        await pause(waitMs)
      }
    }
  }
  const followBundle = async (): Promise<void> => {
    const { id } = await holder.first(lifecycle.signal)
    // Loaded only now: it is not needed to start.
    const { watchTrustBundle } = await import('./bundle-watch.ts')
    let pushes = 0
    await watchTrustBundle({
      citadelAddress: options.citadelAddress,
      credentials: rotatingChannelCredentials(holder, citadelOf(id)),
      signal: lifecycle.signal,
      logger,
      onBundle(bundlePem) {
        const current = holder.current()
        const roots = parseCertificates(bundlePem, "Citadel's trust bundle")
        if (current !== undefined && current.bundlePem !== bundlePem) holder.set({ ...current, bundlePem, roots })
        // A push after the first tells of another authority: a certificate of it is fetched soon, not by all at once.
        pushes += 1
        if (pushes > 1)
          void delay(Math.random() * renewAfterPushMs, undefined, { signal: lifecycle.signal }).then(
            () => wake.abort(),
            () => undefined,
          )
      },
    })
  }
  const running = Promise.all([
    keepFresh(),
    followBundle().catch((error: unknown) => {
      if (!lifecycle.signal.aborted) logger.error({ err: error }, 'the trust bundle is not followed')
    }),
  ])
  lifecycle.onStop('identity', async () => void (await running))

  return {
    current: () => holder.current(),
    ready: () => holder.first(lifecycle.signal),
    onChange: (listener) => holder.onChange(listener),
    serverCredentials: (clientCertificate) => rotatingServerCredentials(holder, clientCertificate),
    channelCredentials: (expected) => rotatingChannelCredentials(holder, expected),
  }
}

/** A certificate that still holds keeps the service ready; one that has run out does not. */
function readinessAfterFailure({ readiness }: IdentityOptions, material: IdentityMaterial | undefined, error: WeftError): void {
  if (material === undefined) readiness.hold('identity', `no certificate yet: ${error.describe()}`)
  else if (material.notAfter <= new Date()) readiness.hold('identity', `the certificate has expired: ${error.describe()}`)
}

/**
 * One certificate request. With a certificate that still holds, it is the proof (mTLS), so that renewal outlives the join
 * token; the token goes along as long as it can be read.
 */
async function requestCertificate(options: IdentityOptions, current: IdentityMaterial | undefined): Promise<IdentityMaterial> {
  const root = await readFile(options.rootCertFile).catch((cause: unknown) => {
    throw new WeftError('unavailable', 'the root certificate cannot be read', {
      where: { file: options.rootCertFile },
      hint: 'Citadel writes it when it starts with --root-cert-file',
      cause,
    })
  })
  const proof = await proofOf(options, current)
  const keys = await createKeyPair()
  const keyPem = privateKeyPem(keys.privateKey)
  const { certificate } = proof
  const client = new IstioCertificateServiceClient(
    options.citadelAddress,
    credentials.createSsl(
      // The file may be a copy from before a root rotation that was followed since.
      current === undefined ? root : Buffer.concat([root, Buffer.from(`\n${current.bundlePem}`)]),
      certificate === undefined ? null : Buffer.from(certificate.privateKeyPem),
      certificate === undefined ? null : Buffer.from(certificate.chainPem),
      { checkServerIdentity: peerCheck(citadelOf(proof.id)) },
    ),
    // Without a name of its own, grpc-js would send an address as server name, which RFC 6066 forbids.
    { ...clientOptions(), 'grpc.ssl_target_name_override': 'citadel' },
  )
  try {
    const response = await unary(
      client.createCertificate.bind(client),
      {
        csr: createCertificateRequest(keys, { uris: [proof.id], dns: options.dnsNames ?? [] }),
        validityDuration: options.ttlSeconds ?? 0,
        metadata: undefined,
      },
      deadlineMs,
      proof.metadata,
      options.lifecycle.signal,
    )
    return readResponse(response, keyPem, proof.id)
  } finally {
    client.close()
  }
}

/** The SPIFFE id of Citadel in the trust domain of a workload. */
function citadelOf(id: string): string {
  return workloadId(parseSpiffeId(id).trustDomain, 'istio-system', 'citadel').uri
}

interface Proof {
  /** The identity to ask for. */
  id: string
  /** Carries the join token. */
  metadata: Metadata
  /** The client certificate. */
  certificate?: IdentityMaterial
}

async function proofOf(
  { identity, joinTokenFile, trustDomain = 'cluster.local' }: IdentityOptions,
  current: IdentityMaterial | undefined,
): Promise<Proof> {
  const now = new Date()
  const certificate = current !== undefined && current.notAfter > now ? current : undefined
  const metadata = new Metadata()
  try {
    const token = (await readFile(joinTokenFile, 'utf8')).trim()
    const claims = readJoinToken(token, joinTokenFile, trustDomain)
    const id = identity ?? claims.identity.uri
    // An expired token goes along only when there is nothing else: Citadel's answer then says what to do.
    if (certificate === undefined || claims.expiresAt > now) metadata.set('authorization', `Bearer ${token}`)
    return certificate?.id === id ? { id, metadata, certificate } : { id, metadata }
  } catch (cause) {
    if (certificate !== undefined) return { id: certificate.id, metadata: new Metadata(), certificate }
    if (cause instanceof WeftError) throw cause
    throw new WeftError('unavailable', 'the join token cannot be read', {
      where: { file: joinTokenFile },
      hint: 'mint one with `weft ca token` and write it to this file',
      cause,
    })
  }
}

/** The last element of the response is the trust bundle, what stands before it the chain. */
function readResponse({ certChain }: IstioCertificateResponse, keyPem: string, id: string): IdentityMaterial {
  const bundlePem = certChain.at(-1) ?? ''
  const chainPem = certChain.slice(0, -1).join('')
  const chain = parseCertificates(chainPem, "Citadel's answer")
  const roots = parseCertificates(bundlePem, "Citadel's trust bundle")
  const issuedAt = new Date()
  const received = verifyChain(chain, roots, issuedAt)
  const [leaf] = chain
  if (leaf === undefined || received.uri !== id) {
    throw new WeftError('failed_precondition', `Citadel's certificate is for ${received.uri} instead of ${id}`)
  }
  return { id, privateKeyPem: keyPem, chainPem, bundlePem, roots, issuedAt, notAfter: leaf.validToDate }
}

function identityMetrics(registry: Registry, holder: CertificateHolder): { failures: Counter<'code'> } {
  new Gauge({
    name: 'weft_identity_certificate_expiry_seconds',
    help: "Unix time at which this service's certificate expires; 0 while it has none",
    registers: [registry],
    collect() {
      this.set((holder.current()?.notAfter.getTime() ?? 0) / 1000)
    },
  })
  return {
    failures: new Counter({
      name: 'weft_identity_failures_total',
      help: 'Certificate requests that failed, by error code',
      labelNames: ['code'],
      registers: [registry],
    }),
  }
}
