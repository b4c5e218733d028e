import { credentials, Metadata } from '@grpc/grpc-js'
import { IstioCertificateServiceClient } from '@weft/contracts/istio/v1/auth/ca'
import { createCertificateRequest } from '@weft/identity/certificate-request'
import { createKeyPair } from '@weft/identity/keys'
import { unary } from '@weft/service/grpc'
import { cpuMicroseconds, residentMiB } from '../processes.ts'
import { withCitadel } from './bench-citadel.ts'
import type { BenchOptions } from './bench-options.ts'
import { formatTable, median } from './table.ts'

/** Requests that wait for an answer at any time, over how many connections, from how many workloads. */
const inFlight = 64
const connections = 4
const workloads = 200

interface Round {
  requests: number
  perCpuSecond: number
  perSecond: number
  p50Ms: number
  p99Ms: number
  residentMiB: number
}

/**
 * Certificate requests that Citadel signs with one CPU second: gRPC over TLS, P-256 keys, join tokens of 200 workloads, each
 * request verified and a certificate signed. The client runs in this process, so only the CPU time of Citadel counts.
 */
export async function benchCsr({ rounds, seconds }: BenchOptions): Promise<void> {
  await withCitadel(['--csr-rate', '1000000', '--csr-burst', '1000000'], async ({ process: { pid }, grpcPort, root, mint }) => {
    const callers = await Promise.all((await mint(workloads)).map(prepare))
    const clients = Array.from(
      { length: connections },
      // Each option set that differs makes a connection of its own.
      (_, index) =>
        new IstioCertificateServiceClient(`127.0.0.1:${grpcPort}`, credentials.createSsl(root), { 'bench.connection': index }),
    )
    const measure = (ms: number) => play(clients, callers, pid, ms)
    await measure(1_000)
    const results: Round[] = []
    for (let round = 0; round < rounds; round += 1) results.push(await measure(seconds * 1_000))
    for (const client of clients) client.close()
    report(results, seconds)
  })
}

interface Caller {
  csr: string
  metadata: Metadata
}

async function prepare({ identity, token }: { identity: string; token: string }): Promise<Caller> {
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token}`)
  return { csr: createCertificateRequest(await createKeyPair(), { uris: [identity] }), metadata }
}

async function play(clients: IstioCertificateServiceClient[], callers: Caller[], pid: number, ms: number): Promise<Round> {
  const latencies: number[] = []
  const cpuBefore = cpuMicroseconds(pid)
  const begin = performance.now()
  const end = begin + ms
  let next = 0
  const worker = async (client: IstioCertificateServiceClient): Promise<void> => {
    while (performance.now() < end) {
      const caller = callers[next % callers.length]
      next += 1
      if (caller === undefined) throw new Error('no callers')
      const sent = performance.now()
      const request = { csr: caller.csr, validityDuration: 0, metadata: undefined }
      const { certChain } = await unary(client.createCertificate.bind(client), request, 10_000, caller.metadata)
      if (certChain.length !== 2) throw new Error(`a chain of ${certChain.length} elements`)
      latencies.push(performance.now() - sent)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, index) => worker(clients[index % clients.length] ?? clients[0]!)))
  const elapsedMs = performance.now() - begin
  const cpuSeconds = (cpuMicroseconds(pid) - cpuBefore) / 1e6
  latencies.sort((a, b) => a - b)
  return {
    requests: latencies.length,
    perCpuSecond: latencies.length / cpuSeconds,
    perSecond: latencies.length / (elapsedMs / 1_000),
    p50Ms: latencies[Math.floor(latencies.length * 0.5)] ?? Number.NaN,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
    residentMiB: residentMiB(pid),
  }
}

function report(results: Round[], seconds: number): void {
  const row = (name: string, of: (key: keyof Round) => number): string[] => [
    name,
    of('requests').toFixed(0),
    of('perCpuSecond').toFixed(0),
    of('perSecond').toFixed(0),
    of('p50Ms').toFixed(1),
    of('p99Ms').toFixed(1),
    of('residentMiB').toFixed(0),
  ]
  const middle = (key: keyof Round): number => median(results.map((round) => round[key]))
  const header = ['round', 'requests', 'CSRs/CPU s', 'CSRs/s', 'p50 ms', 'p99 ms', 'RSS MiB']
  const rows = results.map((round, index) => row(String(index + 1), (key) => round[key]))
  console.log(formatTable(header, [...rows, row('median', middle)]))
  const numbers = Object.fromEntries(
    (['perCpuSecond', 'perSecond', 'p50Ms', 'p99Ms', 'residentMiB'] as const).map((key) => [key, Number(middle(key).toFixed(1))]),
  )
  console.log(JSON.stringify({ bench: 'csr', rounds: results.length, seconds, inFlight, key: 'P-256', ...numbers }))
}
