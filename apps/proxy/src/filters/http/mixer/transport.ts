import { CheckRequest, CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { ReportResponse } from '@weft/contracts/istio/mixer/v1/report'
import { grpcClient, type UnaryMethod } from '../../../upstream/grpc-client.ts'
import type { WorkerServices } from '../../../worker-services.ts'
import type { CheckTransport } from './mixer-client.ts'
import type { PolicyRevisions } from './policy-revisions.ts'

// Stated here rather than taken from the generated service, which would load grpc-js into every worker.

const CHECK: UnaryMethod<CheckRequest, CheckResponse> = {
  path: '/istio.mixer.v1.Mixer/Check',
  encode: (request) => CheckRequest.encode(request).finish(),
  decode: (bytes) => CheckResponse.decode(bytes),
}

const REPORT: UnaryMethod<Uint8Array, ReportResponse> = {
  path: '/istio.mixer.v1.Mixer/Report',
  encode: (report) => report,
  decode: (bytes) => ReportResponse.decode(bytes),
}

const REPORT_DEADLINE_MS = 5000

/** Checks over the worker's connection to a cluster. */
export function checkTransport(services: WorkerServices, cluster: string, revisions: PolicyRevisions): CheckTransport {
  const client = grpcClient(services, cluster)
  const onMetadata = revisions.note.bind(revisions)
  return { check: (request, deadlineMs, signal) => client.unary(CHECK, request, { deadlineMs, signal, onMetadata }) }
}

/** Sends a report's bytes over the worker's connection to a cluster. */
export function reportSender(
  services: WorkerServices,
  cluster: string,
  revisions: PolicyRevisions,
): (report: Uint8Array) => Promise<void> {
  const client = grpcClient(services, cluster)
  const onMetadata = revisions.note.bind(revisions)
  return async (report) => {
    await client.unary(REPORT, report, { deadlineMs: REPORT_DEADLINE_MS, onMetadata })
  }
}
