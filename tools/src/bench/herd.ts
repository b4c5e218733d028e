import { type ClientHttp2Session, connect } from 'node:http2'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { DiscoveryRequest } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { cpuMicroseconds, residentMiB, until } from '../processes.ts'
import { withCitadel } from './bench-citadel.ts'
import type { BenchOptions } from './bench-options.ts'
import { formatTable } from './table.ts'

/** Sidecars that come at once, and how many workload identities they share. */
const sidecars = 5_000
const identities = 500

/**
 * How long it takes until all of 5,000 sidecars that restart at once have key and certificate: each opens its own TLS connection and
 * SDS stream, as proxies do, and keeps it. The clients run in this process, over bare HTTP/2, and take their share of the machine.
 */
export async function benchHerd({ rounds }: BenchOptions): Promise<void> {
  await withCitadel([], async ({ process: citadel, grpcPort, adminPort, root, mint }) => {
    const tokens = (await mint(identities)).map(({ token }) => token)
    const rows: string[][] = []
    const times: number[] = []
    for (let round = 1; round <= rounds; round += 1) {
      const cpuBefore = cpuMicroseconds(citadel.pid)
      const { elapsedMs, latencies, retries, close } = await restartAll(grpcPort, root, tokens)
      const cpuSeconds = (cpuMicroseconds(citadel.pid) - cpuBefore) / 1e6
      latencies.sort((a, b) => a - b)
      const at = (part: number): string => ((latencies[Math.floor(latencies.length * part)] ?? 0) / 1_000).toFixed(2)
      times.push(elapsedMs / 1_000)
      rows.push([
        String(round),
        (elapsedMs / 1_000).toFixed(2),
        at(0.5),
        at(0.99),
        cpuSeconds.toFixed(2),
        String(retries),
        residentMiB(citadel.pid).toFixed(0),
      ])
      await close()
      const streams = async (): Promise<string> => (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
      await until(async () => (await streams()).includes('weft_citadel_sds_streams 0'), 'the streams to be gone', citadel)
    }
    console.log(formatTable(['round', 'all after s', 'p50 s', 'p99 s', 'Citadel CPU s', 'retries', 'RSS MiB'], rows))
    console.log(JSON.stringify({ bench: 'herd', sidecars, identities, worstSeconds: Number(Math.max(...times).toFixed(2)) }))
  })
}

async function restartAll(port: number, ca: Buffer, tokens: readonly string[]) {
  const message = DiscoveryRequest.encode(
    DiscoveryRequest.fromPartial({
      typeUrl: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
      resourceNames: ['default', 'ROOTCA'],
    }),
  ).finish()
  const frame = Buffer.concat([Buffer.alloc(5), message])
  frame.writeUInt32BE(message.length, 1)
  const sessions: ClientHttp2Session[] = []
  const latencies: number[] = []
  const begin = performance.now()
  const one = (token: string): Promise<void> =>
    new Promise((done, fail) => {
      const session = connect(`https://localhost:${port}`, {
        createConnection: () =>
          connectTls({ host: '127.0.0.1', port, ca, servername: 'localhost', ALPNProtocols: ['h2'], minVersion: 'TLSv1.3' }),
      })
      sessions.push(session)
      session.on('error', fail)
      const stream = session.request({
        ':method': 'POST',
        ':path': '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets',
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${token}`,
      })
      stream.on('error', fail)
      stream.on('trailers', (trailers) => fail(new Error(`refused: ${String(trailers['grpc-message'])}`)))
      let received = 0
      stream.on('data', (chunk: Buffer) => {
        received += chunk.length
        // A key, a chain and the bundle are more than this; the length is in the first bytes, but this is a benchmark.
        if (received < 1_500 || latencies.length === sidecars) return
        received = Number.NEGATIVE_INFINITY
        latencies.push(performance.now() - begin)
        done()
      })
      stream.write(frame)
    })
  let retries = 0
  /** As a proxy does: a connection that the full backlog of the listener refused is tried again a little later. */
  const persist = async (token: string): Promise<void> => {
    for (;;) {
      try {
        return await one(token)
      } catch (error) {
        if (retries > sidecars) throw error
        retries += 1
        await delay(500 * (0.5 + Math.random()))
      }
    }
  }
  await Promise.all(Array.from({ length: sidecars }, (_, index) => persist(tokens[index % tokens.length] ?? '')))
  const elapsedMs = performance.now() - begin
  const close = async (): Promise<void> => {
    await Promise.all(
      sessions.map(
        (session) =>
          new Promise<void>((closed) => {
            session.once('close', closed)
            session.destroy()
          }),
      ),
    )
  }
  return { elapsedMs, latencies, retries, close }
}
