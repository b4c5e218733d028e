import type { Deadline, sendUnaryData } from '@grpc/grpc-js'
import { type MixerServer, MixerService } from '@weft/contracts/istio/mixer/v1/mixer'
import { toServiceError } from '@weft/service/grpc'
import type { Mixer } from './mixer.ts'

/** A caller that sets no deadline gets this one. */
const DEFAULT_DEADLINE_MS = 5_000

/** istio.mixer.v1's service for a gRPC server. */
export function mixerService(mixer: Mixer): { definition: typeof MixerService; implementation: MixerServer } {
  return {
    definition: MixerService,
    implementation: {
      check: (call, callback) => settle(mixer.check(call.request, leftMs(call.getDeadline())), callback),
      report: (call, callback) =>
        settle(
          mixer.report(call.request, leftMs(call.getDeadline())).then(() => ({})),
          callback,
        ),
    },
  }
}

function settle<Response>(answer: Promise<Response>, callback: sendUnaryData<Response>): void {
  answer.then(
    (response) => callback(null, response),
    (error: unknown) => callback(toServiceError(error)),
  )
}

function leftMs(deadline: Deadline): number {
  const atMs = deadline instanceof Date ? deadline.getTime() : deadline
  return Number.isFinite(atMs) ? Math.max(1, Math.min(atMs - Date.now(), DEFAULT_DEADLINE_MS)) : DEFAULT_DEADLINE_MS
}
