/**
 * What a proxy takes when nothing happens: CPU, and memory, without a connection and with a thousand that have had their answer and
 * stay; nginx, haproxy, real Envoy and ours. Of CPU the system tells hundredths of a second: `--rounds` and `--seconds` make the time.
 */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuMicroseconds, residentMiB } from '../processes.ts'
import type { BenchOptions } from './bench-options.ts'
import { type HttpPeer, startHttpPeers } from './http-peers.ts'
import { Bench } from './proxy-bench.ts'
import { formatTable } from './table.ts'

const crowds = [0, 1_000]
/** What follows a start, or connections that have just come, is over by then. */
const settleMs = 15_000

/** Runs the benchmark and prints a table and one JSON line. */
export function benchIdle({ rounds, seconds, only }: BenchOptions): Promise<void> {
  return Bench.run(async (bench) => {
    const peers = await startHttpPeers(bench, { only })
    const results: { name: string; connections: number; percentOfCore: number; rssMiB: number }[] = []
    for (const connections of crowds) {
      const open = (await Promise.all(peers.map(({ port }) => openConnections(port, connections)))).flat()
      await delay(settleMs)
      const before = peers.map(cpuOf)
      await delay(rounds * seconds * 1000)
      for (const [at, peer] of peers.entries()) {
        const busyMicros = cpuOf(peer) - (before[at] ?? 0)
        const rssMiB = peer.processes.reduce((sum, { pid }) => sum + residentMiB(pid), 0)
        const percentOfCore = Number((busyMicros / (rounds * seconds * 10_000)).toFixed(2))
        results.push({ name: peer.name, connections, percentOfCore, rssMiB: Math.round(rssMiB) })
      }
      for (const socket of open) socket.destroy()
    }
    console.log(`idle for ${rounds * seconds} s`)
    const rows = results.map((result) => Object.values(result).map(String))
    console.log(formatTable(['proxy', 'connections', '% of a core', 'RSS MiB'], rows))
    console.log(JSON.stringify({ bench: 'idle', seconds: rounds * seconds, results }))
  })
}

const cpuOf = ({ processes }: HttpPeer): number => processes.reduce((sum, { pid }) => sum + cpuMicroseconds(pid), 0)

/** Connections that have each had an answer, one after the other. */
async function openConnections(port: number, count: number): Promise<net.Socket[]> {
  const open: net.Socket[] = []
  for (let i = 0; i < count; i++) {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /api/items/42 HTTP/1.1\r\nhost: bench\r\n\r\n')
    await once(socket, 'data')
    open.push(socket.resume())
  }
  return open
}
