import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js'
import { AggregatedDiscoveryServiceClient } from '@weft/contracts/envoy/service/discovery/v3/ads'
import { DiscoveryRequest, type DiscoveryResponse } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { typeUrls } from '@weft/xds/types'
import { cpuMicroseconds, freePort, residentMiB, start, until, untilListening } from '../processes.ts'
import type { BenchOptions } from './bench-options.ts'
import { formatTable, median } from './table.ts'

const services = 1_000
const endpointsOfEach = 10
const proxies = 100
const watched = [typeUrls.cluster, typeUrls.endpoint, typeUrls.listener, typeUrls.route]

/**
 * What a push costs Pilot, with 1,000 services of 10 endpoints and 100 proxies that watch everything over ADS (state of the
 * world, as Envoy does): all connect, one endpoint changes, a service is new. The proxies are in this process.
 */
export async function benchPilot({ rounds }: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-pilot-'))
  for (let index = 0; index < services; index++) await writeFile(join(folder, `s${index}.yaml`), serviceYaml(index, 0))
  const [grpcPort, adminPort] = [await freePort(), await freePort()]
  const main = resolve(import.meta.dirname, '../../../apps/pilot/src/main.ts')
  const startedMs = performance.now()
  const pilot = start([
    ...[process.execPath, main, '--plaintext-grpc-address', `127.0.0.1:${grpcPort}`, '--admin-address', `127.0.0.1:${adminPort}`],
    ...['--config-dir', folder, '--log-level', 'warn'],
  ])
  const fleet: Client[] = []
  try {
    await untilListening(adminPort, pilot)
    await until(async () => (await fetch(`http://127.0.0.1:${adminPort}/healthz/ready`)).ok, 'Pilot to be ready', pilot)
    const startSeconds = (performance.now() - startedMs) / 1_000
    const measured = new Map<string, { ms: number[]; cpuMs: number[]; mib: number[] }>()
    const measure = async (what: string, act: () => Promise<void>, done: (proxy: Client) => boolean): Promise<void> => {
      const before = { cpu: cpuMicroseconds(pilot.pid), at: performance.now(), bytes: bytesOf(fleet) }
      await act()
      await until(() => fleet.every(done), `${what} to reach all proxies`, pilot, 60_000)
      const lastMs = Math.max(...fleet.map(({ lastMs }) => lastMs))
      // What Pilot does after the last push (acknowledgements) is its cost too.
      await new Promise((settle) => setTimeout(settle, 300))
      const row = measured.get(what) ?? { ms: [], cpuMs: [], mib: [] }
      row.ms.push(lastMs - before.at)
      row.cpuMs.push((cpuMicroseconds(pilot.pid) - before.cpu) / 1_000)
      row.mib.push((bytesOf(fleet) - before.bytes) / 2 ** 20)
      measured.set(what, row)
    }
    await measure(
      `${proxies} proxies connect`,
      async () => {
        for (let index = 0; index < proxies; index++) fleet.push(new Client(grpcPort, index))
      },
      ({ received }) => watched.every((type) => (received[type] ?? 0) > 0),
    )
    for (let round = 1; round <= rounds; round++) {
      const counts = (type: string) => new Map(fleet.map((proxy) => [proxy, proxy.received[type] ?? 0]))
      const endpointPushes = counts(typeUrls.endpoint)
      await measure(
        'one endpoint changes',
        () => writeFile(join(folder, 's7.yaml'), serviceYaml(7, round)),
        (proxy) => (proxy.received[typeUrls.endpoint] ?? 0) > (endpointPushes.get(proxy) ?? 0),
      )
      const clusterPushes = counts(typeUrls.cluster)
      const routePushes = counts(typeUrls.route)
      await measure(
        'a service is new',
        () => writeFile(join(folder, `new${round}.yaml`), serviceYaml(services + round, 0)),
        (proxy) =>
          (proxy.received[typeUrls.cluster] ?? 0) > (clusterPushes.get(proxy) ?? 0) &&
          (proxy.received[typeUrls.route] ?? 0) > (routePushes.get(proxy) ?? 0),
      )
    }
    const rows = [...measured].map(([what, { ms, cpuMs, mib }]) => [
      what,
      median(ms).toFixed(1),
      Math.max(...ms).toFixed(1),
      median(cpuMs).toFixed(1),
      median(mib).toFixed(2),
    ])
    console.log(formatTable(['', 'last proxy ms', 'worst ms', 'Pilot CPU ms', 'MiB sent'], rows))
    const summary = { startSeconds: Number(startSeconds.toFixed(2)), rssMiB: Math.round(residentMiB(pilot.pid)) }
    console.log(JSON.stringify({ bench: 'pilot', services, endpointsOfEach, proxies, ...summary }))
  } finally {
    for (const proxy of fleet) proxy.close()
    await pilot.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

function serviceYaml(index: number, round: number): string {
  const name = `s${index}`
  const endpoints = Array.from({ length: endpointsOfEach }, (_, endpoint) => {
    const last = endpoint === 0 ? 1 + (round % 200) : 201 + endpoint
    return `    - { address: 10.${1 + (index >> 8)}.${index & 255}.${last}, labels: { app: ${name} } }`
  })
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.default.svc.cluster.local]
  addresses: [240.${1 + (index >> 8)}.${index & 255}.1]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints:
${endpoints.join('\n')}
`
}

function bytesOf(fleet: readonly Client[]): number {
  return fleet.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** A proxy that subscribes to all there is, takes what comes, and keeps nothing. */
class Client {
  readonly received: Record<string, number> = {}
  bytes = 0
  lastMs = 0
  readonly #client: AggregatedDiscoveryServiceClient
  readonly #call: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>

  constructor(port: number, index: number) {
    // A channel of its own, as every proxy has one.
    const options = { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': -1 }
    this.#client = new AggregatedDiscoveryServiceClient(`127.0.0.1:${port}`, credentials.createInsecure(), options)
    this.#call = this.#client.streamAggregatedResources()
    this.#call.on('error', () => {})
    this.#call.on('data', (response: DiscoveryResponse) => this.#take(response))
    const id = `sidecar~10.200.0.${index + 1}~p${index}.default~default.svc.cluster.local`
    const node = { id, metadata: { NAMESPACE: 'default', LABELS: { app: 'client' } } }
    this.#ask({ node, typeUrl: typeUrls.cluster })
    this.#ask({ node, typeUrl: typeUrls.listener })
  }

  #take({ typeUrl, nonce, versionInfo, resources }: DiscoveryResponse): void {
    const first = this.received[typeUrl] === undefined
    this.received[typeUrl] = (this.received[typeUrl] ?? 0) + 1
    this.bytes += resources.reduce((sum, { value }) => sum + value.length, 0)
    this.lastMs = performance.now()
    const names = typeUrl === typeUrls.endpoint ? endpointNames : typeUrl === typeUrls.route ? ['80'] : []
    this.#ask({ typeUrl, responseNonce: nonce, versionInfo, resourceNames: names })
    if (!first) return
    if (typeUrl === typeUrls.cluster) this.#ask({ typeUrl: typeUrls.endpoint, resourceNames: endpointNames })
    if (typeUrl === typeUrls.listener) this.#ask({ typeUrl: typeUrls.route, resourceNames: ['80'] })
  }

  #ask(request: Parameters<(typeof DiscoveryRequest)['fromPartial']>[0]): void {
    this.#call.write(DiscoveryRequest.fromPartial(request))
  }

  close(): void {
    this.#call.cancel()
    this.#client.close()
  }
}

const endpointNames = Array.from({ length: services }, (_, index) => `outbound|80||s${index}.default.svc.cluster.local`)
