import { portNumber } from './service.ts'

export interface Upstream {
  name: string
  /** `http://host:port`, without a path. */
  origin: string
}

/** What a call to another service gave: its JSON body, or how it failed. */
export type UpstreamAnswer = { ok: true; body: unknown } | { ok: false; status: number; reason: string }

/** No answer of these services comes near this; a larger one is refused unread. */
const largestBodyBytes = 1 << 20

/**
 * Where a service is, from the environment: `REVIEWS_HOSTNAME` (the service's own name), `REVIEWS_SERVICE_PORT` (9080)
 * and `SERVICES_DOMAIN`, which is appended to the host.
 */
export function upstreamFromEnv(name: string, env: NodeJS.ProcessEnv = process.env): Upstream {
  const prefix = name.toUpperCase()
  const host = env[`${prefix}_HOSTNAME`] || name
  const domain = env['SERVICES_DOMAIN'] ? `.${env['SERVICES_DOMAIN']}` : ''
  const port = portNumber(`${prefix}_SERVICE_PORT`, env[`${prefix}_SERVICE_PORT`] || '9080')
  return { name, origin: `http://${host}${domain}:${port}` }
}

/**
 * Fetches JSON from a service. Never throws: an answer other than 200, a broken body, a refused connection and a
 * timeout all come back as a failure with the status to pass on (500 where there was none).
 */
export async function fetchJson(
  upstream: Upstream,
  path: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<UpstreamAnswer> {
  try {
    const response = await fetch(upstream.origin + path, { headers, signal: AbortSignal.timeout(timeoutMs) })
    if (response.status !== 200) {
      await response.body?.cancel()
      return { ok: false, status: response.status, reason: `${upstream.name} answered ${response.status}` }
    }
    if (Number(response.headers.get('content-length') ?? 0) > largestBodyBytes) {
      await response.body?.cancel()
      return { ok: false, status: 500, reason: `${upstream.name} answered more than ${largestBodyBytes} bytes` }
    }
    return { ok: true, body: await response.json() }
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError'
    const why = timedOut ? `did not answer within ${timeoutMs} ms` : `failed: ${error instanceof Error ? error.message : error}`
    return { ok: false, status: 500, reason: `${upstream.name} ${why}` }
  }
}
