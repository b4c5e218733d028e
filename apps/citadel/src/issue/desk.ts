import type { SpiffeId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { Counter, Gauge, type Registry } from '@weft/service/metrics'
import { type AttestableCall, type Attested, type AttestOptions, attest } from '../attest/attestation.ts'
import type { Authority } from '../authority/authority.ts'
import type { Issued } from './issuer.ts'
import { type RateLimit, RateLimiter, WorkQueue } from './limits.ts'

/** Where all requests for certificates pass: attestation, limits, queue, metrics and log, whatever the protocol. */
export interface Desk {
  /**
   * Attests the caller, takes from its allowance, and runs `issue` in turn. Throws what a step throws; every refusal is
   * counted and logged with its reason.
   */
  serve(api: string, call: AttestableCall, issue: (authority: Authority, caller: Attested) => Issued): Promise<Issued>
  /** Attests alone: for streams that ask for no certificate. */
  attest(api: string, call: AttestableCall): Promise<Attested>
  /** Issues in turn to a caller that has been attested before: the rotation of a stream. */
  renew(api: string, caller: Attested, issue: (authority: Authority) => Issued): Promise<Issued>
}

export interface DeskOptions {
  /** Told of each certificate, when it has been issued. */
  onIssued?: (api: string, issued: Issued) => void
  authority: () => Authority
  attestation: AttestOptions
  limit: RateLimit
  maxWaiting: number
  registry: Registry
  logger: Logger
}

export function createDesk({ authority, attestation, limit, maxWaiting, registry, logger, onIssued }: DeskOptions): Desk {
  const limiter = new RateLimiter(limit)
  const queue = new WorkQueue(maxWaiting)
  const issued = new Counter({
    name: 'weft_citadel_certificates_issued_total',
    help: 'Certificates issued, by API and by the proof of the caller',
    labelNames: ['api', 'proof'],
    registers: [registry],
  })
  const refused = new Counter({
    name: 'weft_citadel_requests_refused_total',
    help: 'Requests refused, by API and reason',
    labelNames: ['api', 'reason'],
    registers: [registry],
  })
  new Gauge({
    name: 'weft_citadel_requests_waiting',
    help: 'Certificate requests in the queue',
    registers: [registry],
    collect() {
      this.set(queue.length)
    },
  })

  const refusing = async <T>(api: string, identity: () => SpiffeId | undefined, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (thrown) {
      const error = WeftError.from(thrown)
      refused.inc({ api, reason: error.code })
      const level = error.code === 'internal' ? 'error' : 'warn'
      logger[level]({ api, code: error.code, identity: identity()?.uri }, `refused: ${error.describe()}`)
      throw error
    }
  }
  const issueInTurn = async (api: string, caller: Attested, issue: (authority: Authority) => Issued): Promise<Issued> => {
    limiter.take(caller.identity.uri)
    const result = await queue.run(() => issue(authority()))
    issued.inc({ api, proof: caller.by })
    onIssued?.(api, result)
    logger.debug({ api, identity: caller.identity.uri, proof: caller.by, notAfter: result.notAfter }, 'certificate issued')
    return result
  }
  return {
    serve(api, call, issue) {
      let caller: Attested | undefined
      return refusing(
        api,
        () => caller?.identity,
        async () => {
          const attested = await attest(call, attestation)
          caller = attested
          return issueInTurn(api, attested, (current) => issue(current, attested))
        },
      )
    },
    attest: (api, call) =>
      refusing(
        api,
        () => undefined,
        () => attest(call, attestation),
      ),
    renew: (api, caller, issue) =>
      refusing(
        api,
        () => caller.identity,
        () => issueInTurn(api, caller, issue),
      ),
  }
}
