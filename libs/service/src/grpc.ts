import {
  type ChannelOptions,
  type ClientOptions,
  logVerbosity,
  Metadata,
  Server,
  type ServerCredentials,
  type ServiceDefinition,
  type ServiceError,
  setLogVerbosity,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { type ErrorCode, errorCodes, WeftError } from './errors.ts'
import type { Lifecycle } from './lifecycle.ts'
import { currentGrpcTracing } from './tracing.ts'

// What grpc-js would print to standard error in its own form comes to us as errors too.
if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE)

const grpcStatus: Record<ErrorCode, number> = {
  invalid_argument: status.INVALID_ARGUMENT,
  not_found: status.NOT_FOUND,
  already_exists: status.ALREADY_EXISTS,
  permission_denied: status.PERMISSION_DENIED,
  unauthenticated: status.UNAUTHENTICATED,
  resource_exhausted: status.RESOURCE_EXHAUSTED,
  failed_precondition: status.FAILED_PRECONDITION,
  unavailable: status.UNAVAILABLE,
  deadline_exceeded: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  unimplemented: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
}

const codeByStatus = new Map<number, ErrorCode>(errorCodes.map((code) => [grpcStatus[code], code]))

/** What a handler gives grpc-js for a thrown value: the code and the one-line description. */
export function toServiceError(thrown: unknown): Partial<ServiceError> {
  const error = WeftError.from(thrown)
  return { code: grpcStatus[error.code], details: error.describe(), metadata: new Metadata() }
}

export interface GrpcServerOptions {
  /** `host:port`; port 0 takes a free one. */
  address: string
  credentials: ServerCredentials
  services: { definition: ServiceDefinition; implementation: UntypedServiceImplementation }[]
  lifecycle: Lifecycle
  /** Time for calls in flight at a stop, before they are cut. */
  drainMs?: number
  options?: ChannelOptions
}

/** Starts a gRPC server with keepalive, bounded messages and a draining stop. Gives the bound port. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<number> {
  const server = new Server({
    'grpc.max_receive_message_length': 16 << 20,
    'grpc.max_concurrent_streams': 1000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    ...options.options,
    interceptors: currentGrpcTracing().server,
  })
  for (const { definition, implementation } of options.services) server.addService(definition, implementation)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.address, options.credentials, (error, bound) => {
      if (error === null) return resolve(bound)
      reject(
        new WeftError('unavailable', `gRPC server cannot listen on ${options.address}: ${error.message}`, {
          hint: 'choose another address with --grpc-address',
          cause: error,
        }),
      )
    })
  })
  options.lifecycle.onStop('gRPC server', async () => {
    const cut = setTimeout(() => server.forceShutdown(), options.drainMs ?? 5_000)
    await new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
    clearTimeout(cut)
  })
  return port
}

/** Channel options of every client: reconnects fast at first, up to 5 s, and notices a dead peer. */
const clientChannelOptions: ChannelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 5_000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': 64 << 20,
}

/** Options of a client: the channel's, and tracing of its calls while that is on. Make clients after tracing has started. */
export function clientOptions(): ClientOptions {
  return { ...clientChannelOptions, interceptors: currentGrpcTracing().client }
}

type UnaryCall<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: Date },
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown

/**
 * One unary call with a deadline, as a promise: `unary(client.check.bind(client), request, 500)`. Rejects with the WeftError of
 * the call's status; `signal` cancels it.
 */
export function unary<Request, Response>(
  call: UnaryCall<Request, Response>,
  request: Request,
  deadlineMs: number,
  metadata: Metadata = new Metadata(),
  signal?: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => {
      if (isCancellable(running)) running.cancel()
    }
    const running = call(request, metadata, { deadline: new Date(Date.now() + deadlineMs) }, (error, response) => {
      signal?.removeEventListener('abort', cancel)
      if (error === null) resolve(response)
      else reject(new WeftError(codeOf(error.code), error.details || error.message, { cause: error }))
    })
    if (signal?.aborted) cancel()
    else signal?.addEventListener('abort', cancel, { once: true })
  })
}

function isCancellable(call: unknown): call is { cancel(): void } {
  return typeof call === 'object' && call !== null && 'cancel' in call && typeof call.cancel === 'function'
}

function codeOf(code: number): ErrorCode {
  return codeByStatus.get(code) ?? 'internal'
}
