import { CheckRequest, CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { ReportRequest, ReportResponse } from '@weft/contracts/istio/mixer/v1/report'
import { grpcClient, type UnaryMethod } from '../../../upstream/grpc-client.ts'
import type { WorkerServices } from '../../../worker-services.ts'
import type { CheckTransport } from './mixer-client.ts'

// Stated here rather than taken from the generated service, which would load grpc-js into every worker.

const CHECK: UnaryMethod<CheckRequest, CheckResponse> = {
  path: '/istio.mixer.v1.Mixer/Check',
  encode: (request) => CheckRequest.encode(request).finish(),
  decode: (bytes) => CheckResponse.decode(bytes),
}

const REPORT: UnaryMethod<ReportRequest, ReportResponse> = {
  path: '/istio.mixer.v1.Mixer/Report',
  encode: (request) => ReportRequest.encode(request).finish(),
  decode: (bytes) => ReportResponse.decode(bytes),
}

const REPORT_DEADLINE_MS = 5000

/** Checks over the worker's connection to a cluster. */
export function checkTransport(services: WorkerServices, cluster: string): CheckTransport {
  const client = grpcClient(services, cluster)
  return { check: (request, deadlineMs, signal) => client.unary(CHECK, request, { deadlineMs, signal }) }
}

/** Sends a report over the worker's connection to a cluster. */
export function reportSender(services: WorkerServices, cluster: string): (request: ReportRequest) => Promise<void> {
  const client = grpcClient(services, cluster)
  return async (request) => {
    await client.unary(REPORT, request, { deadlineMs: REPORT_DEADLINE_MS })
  }
}
