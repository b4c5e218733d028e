import { request } from 'node:http'
import { connect } from 'node:net'

/** How it is found out that a process is ready: an HTTP path that answers below 400, or a port that accepts. */
export type ReadinessProbe =
  | { type: 'http'; host: string; port: number; path: string }
  | { type: 'tcp'; host: string; port: number }

const probeTimeoutMs = 1_000

/** Asks once. Never throws: anything but a good answer in time is "not ready". */
export function isReady(probe: ReadinessProbe): Promise<boolean> {
  return probe.type === 'http' ? httpAnswers(probe) : tcpAccepts(probe)
}

function httpAnswers(probe: { host: string; port: number; path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ ...probe, agent: false, timeout: probeTimeoutMs }, (response) => {
      response.resume()
      resolve((response.statusCode ?? 500) < 400)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
    asked.on('close', () => resolve(false))
    asked.end()
  })
}

function tcpAccepts(probe: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: probe.host, port: probe.port, timeout: probeTimeoutMs })
    const end = (ready: boolean): void => {
      socket.destroy()
      resolve(ready)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}
