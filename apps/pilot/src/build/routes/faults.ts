import { FaultAbort, HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import { type FractionalPercent, FractionalPercent_DenominatorType } from '@weft/contracts/envoy/type/v3/percent'
import type { HTTPFaultInjection, Percent } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'

/** The fault filter's settings for a route; undefined when nothing is injected. */
export function httpFault(fault: HTTPFaultInjection | undefined): HTTPFault | undefined {
  const delay = fault?.delay?.httpDelayType?.$case === 'fixedDelay' ? fault.delay : undefined
  const abort = fault?.abort?.errorType === undefined ? undefined : fault.abort
  if (delay === undefined && abort === undefined) return undefined
  const result = HTTPFault.fromPartial({})
  if (delay?.httpDelayType?.$case === 'fixedDelay') {
    result.delay = {
      faultDelaySecifier: { $case: 'fixedDelay', value: delay.httpDelayType.value },
      percentage: percentage(delay.percentage),
    }
  }
  if (abort?.errorType?.$case === 'httpStatus') {
    const percent = percentage(abort.percentage)
    result.abort = FaultAbort.fromPartial({
      errorType: { $case: 'httpStatus', value: abort.errorType.value },
      percentage: percent,
    })
  } else if (abort?.errorType?.$case === 'grpcStatus') {
    const percent = percentage(abort.percentage)
    const status = grpcCode(abort.errorType.value)
    result.abort = FaultAbort.fromPartial({ errorType: { $case: 'grpcStatus', value: status }, percentage: percent })
  }
  return result
}

/** A percentage with Envoy's finest denominator; all requests where nothing is said. */
export function percentage(percent: Percent | undefined): FractionalPercent {
  const value = percent?.value ?? 100
  return { numerator: Math.round(value * 10_000), denominator: FractionalPercent_DenominatorType.MILLION }
}

const grpcCodes = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

/** The number of a gRPC status that was written by name or number; UNKNOWN for a name that is none. */
function grpcCode(text: string): number {
  const index = grpcCodes.indexOf(text.toUpperCase())
  if (index >= 0) return index
  return /^\d{1,2}$/.test(text) ? Number(text) : 2
}
