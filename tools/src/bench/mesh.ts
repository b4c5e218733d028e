/**
 * A request between two workloads: client → sidecar → mutual TLS → sidecar → server, HTTP/1.1 applications, with a policy, an
 * access log and statistics on both sides. A pair of ours against a pair of Envoys from the same bootstraps, which speak
 * HTTP/1.1 between them as Istio has it by default, or HTTP/2 as its h2UpgradePolicy would.
 */
import { join } from 'node:path'
import { freePort } from '../processes.ts'
import { allowPolicy, clientSidecar, createSidecarKeys, identities, type SidecarOptions, serverSidecar } from '../sidecars.ts'
import { type BenchOptions, chosen } from './bench-options.ts'
import { nginxUpstreamConfig } from './http1-configs.ts'
import { Bench, type Contender, measure, needed, wrk } from './proxy-bench.ts'

const connections = 64

const pairs = [
  { name: 'envoy', kind: 'envoy', between: 'http1' },
  { name: 'envoy-h2', kind: 'envoy', between: 'http2' },
  { name: 'weft-h1', kind: 'weft', between: 'http1' },
  { name: 'weft', kind: 'weft', between: 'shared' },
] as const

/** Runs the benchmark and prints a table and one JSON line. */
export async function benchMesh(options: BenchOptions): Promise<void> {
  await Bench.run(async (bench) => {
    const keys = await createSidecarKeys()
    const upstream: [number, number] = [await freePort(), await freePort()]
    const config = await bench.file('upstream.conf', nginxUpstreamConfig(upstream, bench.folder))
    await bench.start(1, [needed('nginx', 'nginx-light'), '-c', config, '-p', bench.folder], upstream[0])
    const contenders: Contender[] = []
    const names = chosen(
      pairs.map(({ name }) => name),
      options.only,
    )
    for (const { name, kind, between } of pairs.filter((pair) => names.includes(pair.name))) {
      const [port, far] = [await freePort(), await freePort()]
      const shared: SidecarOptions = { keys, application: 'http1', between, accessLog: join(bench.folder, `${name}.log`) }
      const server = serverSidecar(far, await freePort(), upstream[0], { ...shared, filters: [allowPolicy(identities.client)] })
      const client = clientSidecar(port, await freePort(), [far], { ...shared, filters: [allowPolicy(null)] })
      const processes = [
        await bench.proxy(kind, `${name}-server`, server, far),
        await bench.proxy(kind, `${name}-client`, client, port),
      ].filter((process) => process !== undefined)
      if (processes.length < 2) {
        console.log(`${name}: not present on this machine, left out`)
        continue
      }
      const url = `http://127.0.0.1:${port}/api/items/42`
      contenders.push({ name, processes, load: (seconds) => wrk(url, connections, seconds, ['user-agent: bench']) })
    }
    await measure('mesh', `a pair of sidecars, mutual TLS, ${connections} connections, 1 KiB answers`, contenders, options)
  })
}
