import type { handleClientStreamingCall, handleUnaryCall, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { toServiceError } from '@weft/service/grpc'
import type { Lifecycle } from '@weft/service/lifecycle'
import { leftMs } from '../deadline.ts'
import type { Mixer } from '../mixer.ts'

const WARM_UP_AFTER_MS = 3_000

const asBytes = (bytes: Buffer): Buffer => bytes

function method(path: string, requestStream: boolean) {
  return {
    path,
    requestStream,
    responseStream: false,
    requestSerialize: asBytes,
    requestDeserialize: asBytes,
    responseSerialize: asBytes,
    responseDeserialize: asBytes,
  }
}

type Answer = (mixer: Mixer, request: Buffer, deadlineMs: number) => Promise<Buffer>

/**
 * Loads what Envoy's protocols need, when the mesh has come up: Envoy gives its authorization 200 ms, and the first call
 * would wait for the modules.
 */
export function warmUp(lifecycle: Lifecycle): void {
  // What fails to load fails again for the call that needs it, which tells.
  const load = () => Promise.allSettled([import('./ext-authz.ts'), import('./rate-limit.ts'), import('./access-log.ts')])
  const timer = setTimeout(() => void load(), WARM_UP_AFTER_MS)
  timer.unref()
  lifecycle.onStop('warm-up', () => clearTimeout(timer))
}

/**
 * Envoy's own protocols to the same rules: ext_authz for checks, the rate limit service for quotas, the access log service for
 * reports. Messages pass as bytes, so that Envoy's generated modules are loaded with the first call, or a while after the start.
 */
export function envoyServices(mixer: Mixer): { definition: ServiceDefinition; implementation: UntypedServiceImplementation }[] {
  const unary =
    (load: () => Promise<Answer>): handleUnaryCall<Buffer, Buffer> =>
    (call, callback) => {
      load()
        .then((answer) => answer(mixer, call.request, leftMs(call.getDeadline())))
        .then(
          (response) => callback(null, response),
          (error: unknown) => callback(toServiceError(error)),
        )
    }
  const streamAccessLogs: handleClientStreamingCall<Buffer, Buffer> = (call, callback) => {
    const take = async (): Promise<void> => {
      const { accessLogStream } = await import('./access-log.ts')
      const takeMessage = accessLogStream(mixer)
      for await (const message of call) if (Buffer.isBuffer(message)) await takeMessage(message)
    }
    take().then(
      () => callback(null, Buffer.alloc(0)),
      (error: unknown) => callback(toServiceError(error)),
    )
  }
  return [
    {
      definition: { check: method('/envoy.service.auth.v3.Authorization/Check', false) },
      implementation: { check: unary(() => import('./ext-authz.ts').then(({ answerExtAuthz }) => answerExtAuthz)) },
    },
    {
      definition: { shouldRateLimit: method('/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', false) },
      implementation: { shouldRateLimit: unary(() => import('./rate-limit.ts').then(({ answerRateLimit }) => answerRateLimit)) },
    },
    {
      definition: { streamAccessLogs: method('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', true) },
      implementation: { streamAccessLogs },
    },
  ]
}
