import { get as httpGet } from 'node:http'

export function fetchAdmin(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = httpGet({ host: '127.0.0.1', port, path, timeout: 5000, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
    asked.on('timeout', () => asked.destroy(new Error(`the admin address does not answer ${path}`)))
    asked.on('error', reject)
  })
}

export type Stats = ReadonlyMap<string, number>

export async function stats(admin: number): Promise<Stats> {
  const { body } = await fetchAdmin(admin, '/stats')
  const found = new Map<string, number>()
  for (const line of body.split('\n')) {
    const match = /^([^:]+(?:::[^:]+)*): (\d+)$/.exec(line)
    if (match?.[1] !== undefined && compared(match[1])) found.set(match[1], Number(match[2]))
  }
  return found
}

/** The stats once they stand still. */
export async function settledStats(admin: number): Promise<Stats> {
  let before = await stats(admin)
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const now = await stats(admin)
    if (now.size === before.size && [...now].every(([name, value]) => before.get(name) === value)) return now
    before = now
  }
  return before
}

/** What a request moves, and no race or buffer size decides. */
function compared(name: string): boolean {
  if (
    !/^(http\.ingress\w*|tcp|proxy_proto|tls_inspector|http_inspector|n|local_rate_limit|connection_limit|cluster\.[a-z]\w*|vhost|listener\.(?!admin)[^.]+)\./.test(
      name,
    )
  )
    return false
  if (/\.ssl\.(handshake|no_certificate|connection_error|fail_\w+)$/.test(name)) return true
  return !/bytes|_ms|delayed_close|_cx_active|cx_length|\.http1\.|update_|assignment|\.worker_|ssl|upstream_cx_(idle_timeout|destroy|max_requests|close_notify)|cx_destroy|membership|default\.total_match|version|init_fetch|circuit_breakers|lb_recalculate|lb_sub|external|internal|canary/.test(
    name,
  )
}

/** What grew, a line each. */
export function increments(before: Stats, after: Stats): string[] {
  return [...after]
    .map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const)
    .filter(([, grown]) => grown !== 0)
    .map(([name, grown]) => `${name} +${grown}`)
    .sort()
}
