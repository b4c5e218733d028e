import { type FastifyInstance, fastify } from 'fastify'

/** A fresh HTTP server of one Bookinfo service: bounded bodies, JSON errors, no request log. */
export function createServer(): FastifyInstance {
  return fastify({ logger: false, bodyLimit: 64 * 1024, forceCloseConnections: 'idle' })
}

/** Time for requests in flight at a stop. */
const drainMs = 1_500

/**
 * Listens where `HOST` and `PORT` of the environment say (every address, 9080) until SIGTERM or SIGINT, then lets the
 * requests in flight end. A port that is taken is told in one line with exit code 1.
 */
export async function serve(name: string, server: FastifyInstance, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const host = env['HOST'] ?? '0.0.0.0'
  const port = portNumber('PORT', env['PORT'] ?? '9080')
  try {
    const url = await server.listen({ host, port })
    console.log(`${name} listens on ${url}`)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    console.error(`${name} cannot listen on ${host}:${port}: ${why} (choose another address with HOST and PORT)`)
    process.exit(1)
  }
  const stop = (): void => {
    server.close().then(
      () => process.exit(0),
      () => process.exit(1),
    )
    // Callers keep spare connections open that never sent a request: Node does not count those as idle.
    setTimeout(() => server.server.closeAllConnections(), drainMs).unref()
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

/** A port out of the environment; the error names the variable. */
export function portNumber(variable: string, text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new Error(`${variable}='${text}' is not a port from 0 to 65535`)
  return port
}

/** The product id in a path, or null when it is not a whole number: the services answer 400 to that. */
export function productId(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null
}
