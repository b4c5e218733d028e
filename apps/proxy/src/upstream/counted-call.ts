import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { CountedCall } from '../worker-services.ts'
import type { ClusterStats } from './cluster-stats.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'

/** Begins a request of the proxy's own: it and the connection that it opens count for the cluster and for its endpoint in `slot`. */
export function countCall(stats: ClusterStats, slab: EndpointSlab, slot: number): CountedCall {
  const startedMs = performance.now()
  stats.requestActive.inc()
  slab.add(slot, cell.activeRequests, 1)
  let ended = false
  return {
    connecting: (socket) => countConnection(stats, slab, slot, socket),
    sent: () => stats.requestTotal.inc(),
    interim: (status) => stats.response(status, true),
    end(outcome, status = 200) {
      if (ended) return
      ended = true
      stats.requestActive.dec()
      slab.add(slot, cell.activeRequests, -1)
      stats.took(Math.round(performance.now() - startedMs), true, false)
      if (outcome === 'timeout') stats.requestTimeout.inc()
      else if (outcome === 'cancelled') stats.requestCancelled.inc()
      else stats.response(outcome === 'success' ? status : 503, true)
    },
  }
}

/** A connection of HTTP/1.1, from its beginning on; its request waited for it, and for its handshake. */
function countConnection(stats: ClusterStats, slab: EndpointSlab, slot: number, socket: Socket): void {
  const startedMs = performance.now()
  let connected = false
  stats.pendingTotal.inc()
  stats.connectionTotal.inc()
  stats.connectionHttp1.inc()
  stats.connectionActive.inc()
  slab.add(slot, cell.activeConnections, 1)
  slab.add(slot, cell.connectionsTotal, 1)
  socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => {
    connected = true
    stats.requestTotal.inc()
    stats.connectMs.record(Math.round(performance.now() - startedMs))
  })
  socket.once('close', () => {
    stats.connectionActive.dec()
    slab.add(slot, cell.activeConnections, -1)
    stats.connectionLength.record(Math.round(performance.now() - startedMs))
    stats.connectionDestroy.inc()
    if (connected) return
    stats.connectFail.inc()
    stats.pendingFailureEject.inc()
    slab.add(slot, cell.connectFailures, 1)
  })
}
