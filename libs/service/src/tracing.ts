import type { GrpcTracing } from './grpc-tracing.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Logger } from './logger.ts'

let grpcTracing: GrpcTracing = { server: [], client: [] }

/** The gRPC interceptors of the running tracing; none while it is off. */
export function currentGrpcTracing(): GrpcTracing {
  return grpcTracing
}

/**
 * Starts OpenTelemetry tracing when `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) is set: spans go out by OTLP over HTTP in
 * batches, traces continue over gRPC by W3C Trace Context, log lines carry `trace_id` and `span_id`. Otherwise nothing is loaded.
 * Call it before servers and clients are made. `OTEL_SERVICE_NAME` and the exporter's other variables work as everywhere.
 */
export async function startTracing(service: string, version: string, lifecycle: Lifecycle, logger: Logger): Promise<void> {
  const endpoint = process.env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? process.env['OTEL_EXPORTER_OTLP_ENDPOINT']
  if (endpoint === undefined || endpoint === '') return
  const { startOpenTelemetry } = await import('./tracing-otel.ts')
  const running = startOpenTelemetry(service, version)
  grpcTracing = running.grpc
  lifecycle.onStop('tracing', async () => {
    grpcTracing = { server: [], client: [] }
    await running.stop().catch((error: unknown) => logger.warn({ err: error }, 'the last spans were not sent'))
  })
  logger.info({ endpoint }, 'tracing started')
}
