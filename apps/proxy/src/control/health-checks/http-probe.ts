import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { HealthCheck_HttpHealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { CodecClientType } from '@weft/contracts/envoy/type/v3/http'
import type { Int64Range } from '@weft/contracts/envoy/type/v3/range'
import { invalid } from '../../plan/problems.ts'
import { compileStringMatcher } from '../../routing/matchers/string-matcher.ts'
import { http2Check } from './http2-check.ts'
import { holdsInOrder, payloadBytes } from './payload.ts'
import type { Probe, ProbeResult, ProbeTarget } from './probe.ts'
import { openSocket } from './tcp-probe.ts'

// Not by `import`, which would load undici too: see libs/http/src/h1/encode.ts.
const { Agent, request } = process.getBuiltinModule('node:http')

/** RequestMethod of the API; unspecified is GET. */
const methods = ['GET', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']
/** HeaderAppendAction of the API. */
const append = { appendOrAdd: 0, addIfAbsent: 1, overwriteOrAdd: 2, overwriteIfPresent: 3 } as const

/** How much of a body is looked at, unless configured. */
const defaultBodyBytes = 1024

export interface HttpProbeOptions {
  clusterName: string
  /** Whether the connection stays for the next check. */
  reuse: boolean
  /** Told when the name of the service behind an endpoint is compared; says whether to compare at all. */
  verifiesCluster: () => boolean
}

/** An HTTP check, by HTTP/1.1 or HTTP/2: one request, judged by its status (200, or the ranges of `expected_statuses`), body and service name. */
export function httpProbe(config: HealthCheck_HttpHealthCheck, options: HttpProbeOptions, path: string): Probe {
  if (config.codecClientType === CodecClientType.HTTP3)
    throw invalid(`${path}.codec_client_type`, 'HTTP3 checks are not supported by this proxy')
  const method = methods[config.method] ?? 'GET'
  if (method === 'CONNECT') throw invalid(`${path}.method`, 'a check cannot CONNECT')
  const send = config.send === undefined ? undefined : payloadBytes(config.send, `${path}.send`)
  const expected = config.receive.map((payload, index) => payloadBytes(payload, `${path}.receive[${index}]`))
  const bodyBytes = config.responseBufferSize ?? defaultBodyBytes
  const matcher = config.serviceNameMatcher
  const isService = matcher === undefined ? undefined : compileStringMatcher(matcher, `${path}.service_name_matcher`)
  const judge = (status: number, headers: IncomingHttpHeaders, body: Buffer): ProbeResult => {
    if (!(config.expectedStatuses.length === 0 ? status === 200 : isIn(status, config.expectedStatuses))) {
      if (headers['x-envoy-immediate-health-check-fail'] !== undefined) return 'excluded'
      return isIn(status, config.retriableStatuses) ? 'failure' : 'unhealthy'
    }
    if (!holdsInOrder(body, expected)) return 'unhealthy'
    if (isService !== undefined && options.verifiesCluster()) {
      const name = headers['x-envoy-upstream-healthchecked-cluster']
      if (!isService(typeof name === 'string' ? name : '')) return 'unhealthy'
    }
    return headers['x-envoy-degraded'] === undefined ? 'healthy' : 'degraded'
  }
  const headersFor = (target: ProbeTarget): Record<string, string[]> => {
    const headers = requestHeaders(config, target.hostname || config.host || options.clusterName)
    if (send !== undefined) headers['content-length'] = [String(send.length)]
    return headers
  }
  if (config.codecClientType === CodecClientType.HTTP2)
    return http2Check(options.reuse, (session, target, _timeoutMs, end) => {
      const { host, ...headers } = headersFor(target)
      const stream = session.request({
        ...headers,
        ':method': method,
        ':path': config.path,
        ':authority': host?.[0] ?? '',
        ':scheme': target.tls === null ? 'http' : 'https',
      })
      let head: IncomingHttpHeaders & { ':status'?: number } = {}
      stream.on('response', (received) => {
        head = received
      })
      collect(stream, bodyBytes, (body) => end(head[':status'] === undefined ? 'network' : judge(head[':status'], head, body)))
      stream.on('error', () => end('network'))
      stream.end(send)
    })
  const agent = new Agent({ keepAlive: options.reuse, maxSockets: 1 })
  const once = (target: ProbeTarget, timeoutMs: number, again: boolean): Promise<ProbeResult> =>
    new Promise((resolve) => {
      const headers = headersFor(target)
      let over = false
      const end = (result: ProbeResult): void => {
        if (over) return
        over = true
        clearTimeout(timer)
        resolve(result)
      }
      agent.createConnection = () => openSocket(target)
      const call = request({
        method,
        path: config.path,
        // Node wants the host as one string.
        headers: { ...headers, host: headers['host']?.[0] ?? '' },
        setHost: false,
        agent,
      })
      call.removeHeader('connection')
      const timer = setTimeout(() => {
        end('timeout')
        call.destroy()
      }, timeoutMs)
      call.on('error', () => {
        // The peer closed a kept connection just as it was used: that says nothing of its health.
        if (!over && again && call.reusedSocket) {
          over = true
          clearTimeout(timer)
          resolve(once(target, timeoutMs, false))
        } else end('network')
      })
      call.on('response', (response) => {
        collect(response, bodyBytes, (body) => end(judge(response.statusCode ?? 0, response.headers, body)))
        response.on('error', () => end('network'))
        response.on('close', () => end('network'))
      })
      call.end(send)
    })
  return {
    check: (target, timeoutMs) => once(target, timeoutMs, true),
    close: () => agent.destroy(),
  }
}

/** Gives what is looked at of a body when it has ended; of one that is too long, which is not read to its end, its beginning. */
function collect(answer: Readable, bodyBytes: number, done: (body: Buffer) => void): void {
  const parts: Buffer[] = []
  let size = 0
  answer.on('data', (part: Buffer) => {
    if (size < bodyBytes || bodyBytes === 0) parts.push(part)
    size += part.length
    if (size > mostBodyBytes) {
      done(Buffer.concat(parts))
      answer.destroy()
    }
  })
  answer.on('end', () => done(Buffer.concat(parts).subarray(0, bodyBytes || size)))
}

/** A longer body is judged by its beginning, and the connection closed. */
const mostBodyBytes = 1 << 20

function requestHeaders(config: HealthCheck_HttpHealthCheck, host: string): Record<string, string[]> {
  const headers: Record<string, string[]> = { host: [host], 'user-agent': ['Envoy/HC'] }
  for (const { header, appendAction, append: appends, keepEmptyValue } of config.requestHeadersToAdd) {
    const name = header?.key.toLowerCase() ?? ''
    if (header === undefined || name === '' || (header.value === '' && !keepEmptyValue)) continue
    const value = header.value === '' ? header.rawValue.toString('latin1') : header.value
    const known = headers[name]
    const replaces = appends === false || appendAction === append.overwriteOrAdd || appendAction === append.overwriteIfPresent
    if (known === undefined) {
      if (appendAction !== append.overwriteIfPresent) headers[name] = [value]
    } else if (replaces || name === 'host') headers[name] = [value]
    else if (appendAction !== append.addIfAbsent) known.push(value)
  }
  for (const name of config.requestHeadersToRemove) delete headers[name.toLowerCase()]
  return headers
}

function isIn(status: number, ranges: readonly Int64Range[]): boolean {
  return ranges.some((range) => status >= Number(range.start) && status < Number(range.end))
}
