/**
 * New connections that come together, one request on each: how long the last of them waits for the first byte of its answer, through
 * nginx, haproxy, real Envoy and ours on core 0 with a sidecar's work. The clients (h2load) and the origins run on core 1.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { BenchOptions } from './bench-options.ts'
import { type HttpPeer, startHttpPeers } from './http-peers.ts'
import { Bench, needed } from './proxy-bench.ts'
import { formatTable, median } from './table.ts'

const run = promisify(execFile)

const connections = 512
/** Until code is compiled, and connections to the origins are open. */
const warmRounds = 10

/** Runs the benchmark and prints a table and one JSON line. */
export function benchConnections({ rounds, only }: BenchOptions): Promise<void> {
  return Bench.run(async (bench) => {
    const waits = new Map<HttpPeer, number[]>()
    for (const peer of await startHttpPeers(bench, { only })) {
      waits.set(peer, [])
      for (let round = 0; round < warmRounds; round++) await lastFirstByteMs(peer.port)
    }
    for (let round = 0; round < rounds; round++) for (const [{ port }, taken] of waits) taken.push(await lastFirstByteMs(port))
    const results = [...waits].map(([{ name }, taken]) => ({
      name,
      leastMs: Math.min(...taken),
      medianMs: Number(median(taken).toFixed(2)),
      mostMs: Math.max(...taken),
    }))
    console.log(`${connections} connections that come together, ${rounds} times: until the last has its first byte`)
    const rows = results.map(({ name, ...times }) => [name, ...Object.values(times).map((ms) => ms.toFixed(1))])
    console.log(formatTable(['proxy', 'least ms', 'median ms', 'most ms'], rows))
    console.log(JSON.stringify({ bench: 'connections', connections, rounds, results }))
  })
}

/** Opens them all at once, a request on each; gives when the last first byte came. Throws when one was not answered. */
async function lastFirstByteMs(port: number): Promise<number> {
  const words = ['--h1', '-t1', `-c${connections}`, `-n${connections}`, `http://127.0.0.1:${port}/api/items/42`]
  const { stdout } = await run('taskset', ['-c', '1', needed('h2load', 'nghttp2-client'), ...words])
  const succeeded = Number(/(\d+) succeeded/.exec(stdout)?.[1])
  if (succeeded !== connections) throw new Error(`${succeeded} of ${connections} requests were answered:\n${stdout}`)
  const [, most, unit = ''] = /time to 1st byte: +\S+ +([\d.]+)(us|ms|s) /.exec(stdout) ?? []
  return Number(most) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN)
}
