import { status } from '@grpc/grpc-js'
import {
  type IstioCAServiceServer,
  IstioCAServiceService,
  type IstioCertificateServiceServer,
  IstioCertificateServiceService,
} from '@weft/contracts/istio/v1/auth/ca'
import { WeftError } from '@weft/service/errors'
import { toServiceError } from '@weft/service/grpc'
import type { Desk } from '../issue/desk.ts'
import { issueForRequest } from '../issue/issuer.ts'
import type { IssuePolicy } from '../issue/policy.ts'

/**
 * `istio.v1.auth.IstioCertificateService`: a certificate for a request. The chain is leaf first; its last element is the trust
 * bundle (all roots in one element while a rotation is under way).
 */
export function certificateService(desk: Desk, policy: IssuePolicy) {
  const implementation: IstioCertificateServiceServer = {
    createCertificate(call, callback) {
      const { csr, validityDuration } = call.request
      desk
        .serve('certificate', call, (authority, { identity }) =>
          issueForRequest(authority, policy, identity, csr, validityDuration),
        )
        .then(
          ({ chain, bundlePem }) => callback(null, { certChain: [...chain, bundlePem] }),
          (error: unknown) => callback(toServiceError(error)),
        )
    },
  }
  return { definition: IstioCertificateServiceService, implementation }
}

/**
 * `istio.v1.auth.IstioCAService`, the API of Istio 1.0: a refusal for the request's own faults is an answer with
 * `is_approved: false` and a status, an unknown caller a failed call.
 */
export function caService(desk: Desk, policy: IssuePolicy) {
  const implementation: IstioCAServiceServer = {
    handleCsr(call, callback) {
      const { csrPem, requestedTtlMinutes } = call.request
      const empty = Buffer.alloc(0)
      desk
        .serve('ca', call, (authority, { identity }) =>
          issueForRequest(authority, policy, identity, csrPem.toString('latin1'), requestedTtlMinutes * 60),
        )
        .then(
          ({ chain: [leaf = '', ...others], bundlePem }) =>
            callback(null, {
              isApproved: true,
              status: { code: status.OK, message: 'OK', details: [] },
              signedCert: Buffer.from(leaf),
              certChain: Buffer.from([...others, bundlePem].join('')),
            }),
          (thrown: unknown) => {
            const error = WeftError.from(thrown)
            if (error.code !== 'invalid_argument' && error.code !== 'permission_denied') return callback(toServiceError(error))
            const { code = status.INTERNAL, details = '' } = toServiceError(error)
            callback(null, {
              isApproved: false,
              status: { code, message: details, details: [] },
              signedCert: empty,
              certChain: empty,
            })
          },
        )
    },
  }
  return { definition: IstioCAServiceService, implementation }
}
