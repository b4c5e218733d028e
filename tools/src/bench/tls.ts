/** TLS 1.3 between clients and a proxy on one core: nginx, haproxy, real Envoy and ours, with the work of the http1 benchmark. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Certificates, makeCertificates } from '../certificates.ts'
import type { BenchOptions } from './bench-options.ts'
import { startHttpPeers } from './http-peers.ts'
import { Bench, type Load, measure, needed, wrk } from './proxy-bench.ts'

const run = promisify(execFile)
const connections = 64
/** Clients at once that do nothing but handshakes: one can't keep a proxy busy. */
const handshakers = 3

/** Requests over connections that stay; prints a table and one JSON line. */
export function benchTls(options: BenchOptions): Promise<void> {
  const title = `HTTP/1.1 over TLS 1.3, ${connections} connections, 1 KiB answers, one core`
  const headers = ['user-agent: bench', 'x-team: blue']
  return Bench.run(async (bench) => {
    const { server } = makeCertificates(bench.folder)
    const contenders = (await startHttpPeers(bench, { only: options.only, tls: server })).map((peer) => ({
      ...peer,
      load: (seconds: number) => wrk(`https://127.0.0.1:${peer.port}/api/items/42`, connections, seconds, headers),
    }))
    await measure('tls', title, contenders, options, 'request', 'nginx')
  })
}

/** Full handshakes with certificates on both sides, and nothing more on the connection; prints a table and one JSON line. */
export function benchHandshakes(options: BenchOptions): Promise<void> {
  return Bench.run(async (bench) => {
    const certificates = makeCertificates(bench.folder)
    const tls = { ...certificates.server, ca: certificates.ca }
    const contenders = (await startHttpPeers(bench, { only: options.only, tls })).map((peer) => ({
      ...peer,
      load: (seconds: number) => handshakes(peer.port, seconds, certificates),
    }))
    await measure('handshakes', 'full mTLS 1.3 handshakes (P-256), one core', contenders, options, 'handshake', 'nginx', 2_000)
  })
}

async function handshakes(port: number, seconds: number, { client }: Certificates): Promise<Load> {
  const words = ['s_time', '-connect', `127.0.0.1:${port}`, '-new', '-time', String(seconds), '-tls1_3']
  const once = async () => {
    const command = ['-c', '1', needed('openssl'), ...words, '-cert', client.cert, '-key', client.key]
    const { stdout } = await run('taskset', command)
    return Number(/(\d+) connections in \d+ real seconds/.exec(stdout)?.[1])
  }
  const counts = await Promise.all(Array.from({ length: handshakers }, once))
  return { requests: counts.reduce((sum, count) => sum + count, 0), seconds, errors: 0, p99Ms: Number.NaN }
}
