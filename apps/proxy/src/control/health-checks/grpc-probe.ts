import type { IncomingHttpHeaders } from 'node:http2'
import type { HealthCheck_GrpcHealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { http2Check } from './http2-check.ts'
import type { Probe, ProbeResult } from './probe.ts'

const path = '/grpc.health.v1.Health/Check'
/** HealthCheckResponse.ServingStatus. */
const serving = 1
/** The most of an answer that is read: a status takes two bytes. */
const mostBytes = 1024

/** A check by gRPC's own health protocol (grpc.health.v1): whoever says SERVING is healthy. */
export function grpcProbe(config: HealthCheck_GrpcHealthCheck, options: { clusterName: string; reuse: boolean }): Probe {
  const message = requestMessage(config.serviceName)
  const metadata: Record<string, string> = {}
  for (const { header } of config.initialMetadata) if (header !== undefined) metadata[header.key.toLowerCase()] = header.value
  return http2Check(options.reuse, (session, _target, timeoutMs, end) => {
    const stream = session.request({
      ...metadata,
      ':method': 'POST',
      ':path': path,
      ':authority': config.authority || options.clusterName,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${timeoutMs}m`,
      'user-agent': 'Envoy/HC',
    })
    let headers: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    let body = Buffer.alloc(0)
    stream.on('response', (head) => {
      headers = head
    })
    stream.on('trailers', (head) => {
      trailers = head
    })
    stream.on('data', (chunk: Buffer) => {
      if (body.length < mostBytes) body = Buffer.concat([body, chunk])
    })
    stream.on('error', () => end('network'))
    stream.on('end', () => end(headers[':status'] === undefined ? 'network' : verdict({ ...headers, ...trailers }, body)))
    stream.end(message)
  })
}

function verdict(head: IncomingHttpHeaders, body: Buffer): ProbeResult {
  if (Number(head[':status']) !== 200 || head['grpc-status'] !== '0') return 'unhealthy'
  return servingStatus(body) === serving ? 'healthy' : 'unhealthy'
}

/** HealthCheckRequest {1: service}, in gRPC's frame. */
function requestMessage(service: string): Buffer {
  const name = Buffer.from(service)
  const fields = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(fields.length, 1)
  return Buffer.concat([head, fields])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest])
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** HealthCheckResponse {1: status} of an uncompressed frame; 0 (UNKNOWN) for anything else. */
function servingStatus(frame: Buffer): number {
  if (frame.length < 7 || frame[0] !== 0 || frame[5] !== 0x08) return 0
  return frame[6] ?? 0
}
