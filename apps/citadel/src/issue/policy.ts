import type { CertificateRequest } from '@weft/identity/certificate-request'
import { parseSpiffeId, type SpiffeId } from '@weft/identity/spiffe-id'
import { WeftError } from '@weft/service/errors'

/** What certificates this authority gives, and to whom: all rules of issuing stand in this file. */
export interface IssuePolicy {
  /** Lifetime when the request names none. */
  defaultTtlSeconds: number
  /** Longest lifetime that a request may ask for. */
  maxTtlSeconds: number
}

/** How far notBefore lies in the past, so that a machine whose clock is behind accepts the certificate at once. */
export const backdateSeconds = 120

/** The lifetime of a certificate, in seconds. Throws `invalid_argument` when it is longer than allowed. */
export function lifetimeSeconds(requestedSeconds: number, policy: IssuePolicy): number {
  if (requestedSeconds === 0) return Math.min(policy.defaultTtlSeconds, policy.maxTtlSeconds)
  if (!Number.isFinite(requestedSeconds) || requestedSeconds < 1) {
    throw new WeftError('invalid_argument', `the requested TTL of ${requestedSeconds} s is not a lifetime`, {
      hint: 'ask for a number of seconds, or 0 for the default',
    })
  }
  if (requestedSeconds > policy.maxTtlSeconds) {
    const [requested, most] = [formatSeconds(requestedSeconds), formatSeconds(policy.maxTtlSeconds)]
    throw new WeftError('invalid_argument', `requested TTL ${requested} is greater than the max allowed TTL ${most}`, {
      hint: 'ask for less, or raise --max-workload-ttl',
    })
  }
  return requestedSeconds
}

/**
 * Checks that a request asks for the attested identity: it names that URI, or none (then the identity is set), and beside it at
 * most the DNS name of the Kubernetes Service that is called like its service account, for callers that know no SPIFFE ids.
 * Throws `permission_denied` for another identity, `invalid_argument` for other names.
 */
export function checkRequestedNames({ names }: CertificateRequest, attested: SpiffeId): void {
  const isOwn = (name: string): boolean => name === serviceName(attested)
  if (!names.dns.every(isOwn) || names.ips.length + names.others > 0) {
    throw new WeftError('invalid_argument', 'the certificate request asks for names other than a SPIFFE id', {
      hint: `ask for the URI ${attested.uri}, or for no name`,
    })
  }
  const [uri] = names.uris
  if (uri === undefined) return
  if (names.uris.length > 1) {
    throw new WeftError('invalid_argument', `the certificate request asks for ${names.uris.length} URI names instead of one`, {
      hint: `ask for the URI ${attested.uri}, or for no name`,
    })
  }
  if (parseSpiffeId(uri).uri !== attested.uri) {
    throw new WeftError('permission_denied', `the certificate request asks for ${uri}, but the caller is ${attested.uri}`, {
      hint: `ask for ${attested.uri}, or join with a token for ${uri}`,
    })
  }
}

/** `pilot.istio-system.svc` of `…/ns/istio-system/sa/pilot`; undefined for identities of another form. */
function serviceName({ workload }: SpiffeId): string | undefined {
  return workload === undefined ? undefined : `${workload.serviceAccount}.${workload.namespace}.svc`
}

/** `3h0m0s`, as Istio's messages write a duration. */
function formatSeconds(seconds: number): string {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60]
  return h > 0 ? `${h}h${m}m${s}s` : m > 0 ? `${m}m${s}s` : `${s}s`
}
