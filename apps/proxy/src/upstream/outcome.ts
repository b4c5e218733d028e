import { headerName } from '@weft/http/header-table'
import type { ResponseHead } from '@weft/http/message'
import type { Endpoint } from './endpoint.ts'
import { cell, healthFlag } from './endpoint-slab.ts'

const degraded = headerName('x-envoy-degraded')

/** Counts an answer for outlier detection: by its status (of gRPC, what that stands for), or by what the cluster calls an error. */
export function noteResponse(endpoint: Endpoint, head: ResponseHead, status: number): void {
  const { slot, cluster } = endpoint
  const rows = cluster.outlierRows
  if (rows === null) {
    noteStatus(endpoint, status)
    return
  }
  const judged = rows.isError === null ? status : rows.isError(head) ? Math.max(500, status) : 200
  noteStatus(endpoint, judged)
  if (!rows.detectsDegraded || judged >= 500 || !head.headers.has(degraded)) return
  if (cluster.slab.setHealth(slot, healthFlag.degradedByAnswers, true)) cluster.slab.alert()
}

/** Counts an answer's status (of gRPC: the HTTP status it stands for) for outlier detection and the endpoint's numbers. */
export function noteStatus(endpoint: Endpoint, status: number): void {
  const { slot, cluster } = endpoint
  if (slot === 0) return
  const { slab, outlierRows: rows } = cluster
  if (status < 500) {
    slab.add(slot, cell.requestsSuccess, 1)
    if (rows === null) return
    if (slab.get(slot, cell.consecutive5xx) !== 0) slab.set(slot, cell.consecutive5xx, 0)
    if (slab.get(slot, cell.consecutiveGatewayErrors) !== 0) slab.set(slot, cell.consecutiveGatewayErrors, 0)
    return
  }
  slab.add(slot, cell.requestsError, 1)
  if (rows === null) return
  const row = slab.add(slot, cell.consecutive5xx, 1)
  let alert = rows.consecutive5xx > 0 && row >= rows.consecutive5xx
  if (status >= 502 && status <= 504) {
    const gateway = slab.add(slot, cell.consecutiveGatewayErrors, 1)
    alert ||= rows.consecutiveGateway > 0 && gateway >= rows.consecutiveGateway
  } else if (slab.get(slot, cell.consecutiveGatewayErrors) !== 0) slab.set(slot, cell.consecutiveGatewayErrors, 0)
  if (alert) slab.alert()
}

/** Counts that no answer came for a reason on this side: connect failure or reset (503), or timeout (504). */
export function noteLocalFailure(endpoint: Endpoint, status: 503 | 504): void {
  const { slot, cluster } = endpoint
  const rows = cluster.outlierRows
  if (rows === null || !rows.split) {
    noteStatus(endpoint, status)
    return
  }
  if (slot === 0) return
  const { slab } = cluster
  slab.add(slot, cell.localFailures, 1)
  const row = slab.add(slot, cell.consecutiveLocalFailures, 1)
  if (rows.consecutiveLocal > 0 && row >= rows.consecutiveLocal) slab.alert()
}

/** Counts a connection that came to be, where local failures are counted apart. `answer`: it is all there is to judge (TCP). */
export function noteConnected(endpoint: Endpoint, answer: boolean): void {
  const { slot, cluster } = endpoint
  const rows = cluster.outlierRows
  if (slot === 0 || rows === null) return
  if (!rows.split) {
    if (answer) noteStatus(endpoint, 200)
    return
  }
  const { slab } = cluster
  slab.add(slot, cell.localSuccesses, 1)
  if (slab.get(slot, cell.consecutiveLocalFailures) !== 0) slab.set(slot, cell.consecutiveLocalFailures, 0)
}
