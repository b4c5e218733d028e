import type { handleUnaryCall, Metadata, ServiceDefinition, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { MixerService } from '@weft/contracts/istio/mixer/v1/mixer'
import type { ReportResponse } from '@weft/contracts/istio/mixer/v1/report'
import { toServiceError } from '@weft/service/grpc'
import { leftMs } from './deadline.ts'
import type { Mixer } from './mixer.ts'
import { type CheckBytes, type ReportBytes, readCheckRequest, readReportRequest } from './request-bytes.ts'

/** istio.mixer.v1's two calls, with the requests read our own way. */
const definition = {
  check: { ...MixerService.check, requestSerialize: unused, requestDeserialize: readCheckRequest },
  report: { ...MixerService.report, requestSerialize: unused, requestDeserialize: readReportRequest },
}

function unused(): Buffer {
  throw new Error('a server sends no requests')
}

/** istio.mixer.v1's service for a gRPC server. */
export function mixerService(mixer: Mixer): { definition: ServiceDefinition; implementation: UntypedServiceImplementation } {
  const check: handleUnaryCall<CheckBytes, CheckResponse> = (call, callback) =>
    settle(mixer.check(call.request, leftMs(call.getDeadline())), mixer.revision(), callback)
  const report: handleUnaryCall<ReportBytes, ReportResponse> = (call, callback) =>
    settle(
      mixer.report(call.request, leftMs(call.getDeadline())).then(() => ({})),
      mixer.revision(),
      callback,
    )
  return { definition, implementation: { check, report } }
}

function settle<Response>(answer: Promise<Response>, trailers: Metadata, callback: sendUnaryData<Response>): void {
  answer.then(
    (response) => callback(null, response, trailers),
    (error: unknown) => callback(toServiceError(error)),
  )
}
