import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { HealthCheck_TcpHealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { holdsInOrder, payloadBytes } from './payload.ts'
import type { Probe, ProbeTarget } from './probe.ts'

/** The most of an answer that is searched for what is expected. */
const mostBytes = 64 << 10

/** A TCP check: it connects, sends what is to be sent, and looks for what is to be received, in order. */
export function tcpProbe(config: HealthCheck_TcpHealthCheck, path: string): Probe {
  const send = config.send === undefined ? undefined : payloadBytes(config.send, `${path}.send`)
  const expected = config.receive.map((payload, index) => payloadBytes(payload, `${path}.receive[${index}]`))
  return {
    check: (target, timeoutMs) =>
      new Promise((resolve) => {
        const socket = openSocket(target)
        let received = Buffer.alloc(0)
        const end = (result: 'healthy' | 'network' | 'timeout'): void => {
          clearTimeout(timer)
          socket.destroy()
          resolve(result)
        }
        const timer = setTimeout(() => end('timeout'), timeoutMs)
        socket.on('error', () => end('network'))
        socket.on('close', () => end('network'))
        socket.on(target.tls === null ? 'connect' : 'secureConnect', () => {
          if (send !== undefined) socket.write(send)
          if (expected.length === 0) end('healthy')
        })
        socket.on('data', (chunk) => {
          received = Buffer.concat([received, chunk])
          if (holdsInOrder(received, expected)) end('healthy')
          else if (received.length > mostBytes) end('network')
        })
      }),
    close: () => undefined,
  }
}

/** A socket to an endpoint, TLS where the cluster has it. */
export function openSocket(target: ProbeTarget): Socket {
  const { tls, address } = target
  if (tls === null) return connect(address)
  return 'path' in address ? connectTls({ ...tls, path: address.path }) : connectTls({ ...tls, ...address })
}
