import type { HealthCheck_HttpHealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { Int64Range } from '@weft/contracts/envoy/type/v3/range'
import { invalid } from '../../plan/problems.ts'
import type { Probe, ProbeResult } from './probe.ts'
import { openSocket } from './tcp-probe.ts'

// Not by `import`, which would load undici too: see libs/http/src/h1/encode.ts.
const { request } = process.getBuiltinModule('node:http')

/** RequestMethod of the API; unspecified is GET. */
const methods = ['GET', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']

/** An HTTP/1.1 check: one request, judged by its status (200, or the ranges of `expected_statuses`). */
export function httpProbe(config: HealthCheck_HttpHealthCheck, clusterName: string, path: string): Probe {
  if (config.codecClientType !== 0) throw invalid(`${path}.codec_client_type`, 'only HTTP1 checks are supported by this proxy')
  const method = methods[config.method] ?? 'GET'
  if (method === 'CONNECT') throw invalid(`${path}.method`, 'a check cannot CONNECT')
  return (target, timeoutMs) =>
    new Promise((resolve) => {
      const headers: Record<string, string | string[]> = {
        host: config.host || target.hostname || clusterName,
        'user-agent': 'Envoy/HC',
      }
      for (const option of config.requestHeadersToAdd) {
        const name = option.header?.key.toLowerCase()
        if (name !== undefined && name !== '') headers[name] = option.header?.value ?? ''
      }
      for (const name of config.requestHeadersToRemove) delete headers[name.toLowerCase()]
      const end = (result: ProbeResult): void => {
        clearTimeout(timer)
        call.destroy()
        resolve(result)
      }
      const call = request({ method, path: config.path, headers, setHost: false, createConnection: () => openSocket(target) })
      const timer = setTimeout(() => end('network'), timeoutMs)
      call.on('error', () => end('network'))
      call.on('response', (response) => {
        response.resume()
        const status = response.statusCode ?? 0
        const degraded = response.headers['x-envoy-degraded'] !== undefined
        if (isExpected(status, config.expectedStatuses)) end(degraded ? 'degraded' : 'healthy')
        else end(config.retriableStatuses.some((range) => within(status, range)) ? 'failure' : 'unhealthy')
      })
      call.end()
    })
}

function isExpected(status: number, ranges: readonly Int64Range[]): boolean {
  return ranges.length === 0 ? status === 200 : ranges.some((range) => within(status, range))
}

function within(status: number, range: Int64Range): boolean {
  return status >= Number(range.start) && status < Number(range.end)
}
