import fastify, { type FastifyInstance } from 'fastify'
import { WeftError } from './errors.ts'
import { parseAddress } from './flags.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Logger } from './logger.ts'
import type { Registry } from './metrics.ts'

/** What must be true for a service to be ready: each part by name, with the reason while it is not. */
export class Readiness {
  readonly #waiting = new Map<string, string>()

  /** Marks a part as not ready, and why. */
  hold(part: string, reason: string): void {
    this.#waiting.set(part, reason)
  }

  /** Marks a part as ready. */
  release(part: string): void {
    this.#waiting.delete(part)
  }

  /** The parts that are not ready yet, with their reasons. */
  waiting(): Record<string, string> {
    return Object.fromEntries(this.#waiting)
  }
}

export interface AdminServerOptions {
  /** `host:port`; port 0 takes a free one. */
  address: string
  logger: Logger
  readiness: Readiness
  registry: Registry
  lifecycle: Lifecycle
  /** Adds a service's own routes. */
  routes?: (server: FastifyInstance) => void | Promise<void>
}

/**
 * The admin HTTP server every service has: `/healthz/live`, `/healthz/ready` (503 with the reasons until all parts are
 * ready) and `/metrics` (Prometheus text). Gives the address it listens on.
 */
export async function startAdminServer(options: AdminServerOptions): Promise<string> {
  const { address, logger, readiness, registry, lifecycle } = options
  const server = fastify({ logger: false, forceCloseConnections: true, bodyLimit: 16 << 20 })
  server.get('/healthz/live', async () => ({ status: 'live' }))
  server.get('/healthz/ready', async (_request, reply) => {
    const waiting = lifecycle.signal.aborted ? { service: 'stopping' } : readiness.waiting()
    const ready = Object.keys(waiting).length === 0
    return reply.code(ready ? 200 : 503).send(ready ? { status: 'ready' } : { status: 'waiting', waiting })
  })
  server.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
  server.setErrorHandler(async (thrown, _request, reply) => {
    const error = WeftError.from(thrown)
    const status = httpStatus(error, thrown)
    if (status >= 500) logger.error({ err: thrown }, 'admin request failed')
    return reply.code(status).send({ error: error.describe(), code: error.code, where: error.where })
  })
  await options.routes?.(server)
  const { host, port } = parseAddress(address)
  const url = await server.listen({ host, port }).catch((cause: unknown) => {
    throw new WeftError('unavailable', `admin server cannot listen on ${address}: ${WeftError.from(cause).message}`, {
      hint: 'choose another address with --admin-address',
      cause,
    })
  })
  lifecycle.onStop('admin server', () => server.close())
  return url
}

function httpStatus(error: WeftError, thrown: unknown): number {
  if (
    !(thrown instanceof WeftError) &&
    thrown instanceof Error &&
    'statusCode' in thrown &&
    typeof thrown.statusCode === 'number'
  ) {
    return thrown.statusCode
  }
  const status: Partial<Record<WeftError['code'], number>> = {
    invalid_argument: 400,
    failed_precondition: 400,
    unauthenticated: 401,
    permission_denied: 403,
    not_found: 404,
    already_exists: 409,
    resource_exhausted: 429,
    unimplemented: 501,
    unavailable: 503,
    deadline_exceeded: 504,
  }
  return status[error.code] ?? 500
}
