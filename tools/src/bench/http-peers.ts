import { findCommand, installEnvoy } from '../peers.ts'
import { freePort, type Running } from '../processes.ts'
import { chosen } from './bench-options.ts'
import { envoyBootstrap, haproxyConfig, nginxProxyConfig, nginxUpstreamConfig, type Ports } from './http1-configs.ts'
import { type Bench, needed } from './proxy-bench.ts'
import { weftProxyCommand } from './proxy-command.ts'

/** How the peers are set up: with TLS for their clients, and how large their origins' answers are. */
export interface PeerOptions {
  only: readonly string[]
  tls?: Ports['tls']
  bodyBytes?: number
}

/** A proxy that takes requests at `port` of 127.0.0.1. */
export interface HttpPeer {
  readonly name: string
  readonly port: number
  readonly processes: readonly Running[]
}

/** Two origins (nginx, on core 1) that answer so many bytes. */
export async function startOrigins(bench: Bench, bodyBytes = 1024): Promise<[number, number]> {
  const upstream: [number, number] = [await freePort(), await freePort()]
  await bench.file('body', 'x'.repeat(bodyBytes))
  const file = await bench.file('upstream.conf', nginxUpstreamConfig(upstream, bench.folder, bodyBytes))
  await bench.start(1, [needed('nginx', 'nginx-light'), '-c', file, '-p', bench.folder], upstream[0])
  return upstream
}

/** All that a request can go through; `--only` leaves some. */
const peers = ['nginx', 'haproxy', 'envoy', 'weft'] as const

/** nginx, haproxy, real Envoy and ours, each with a sidecar's work before the same origins, on core 0 with one thread. */
export async function startHttpPeers(bench: Bench, { only, tls, bodyBytes }: PeerOptions): Promise<HttpPeer[]> {
  const names = chosen(peers, only)
  const upstream = await startOrigins(bench, bodyBytes)
  const started: HttpPeer[] = []
  const add = async (name: (typeof peers)[number], command: (ports: Ports) => Promise<string[] | undefined>): Promise<void> => {
    if (!names.includes(name)) return
    const ports: Ports = { listen: await freePort(), admin: await freePort(), upstream, folder: bench.folder, tls }
    const words = await command(ports)
    if (words === undefined) return console.log(`${name}: not present on this machine, left out`)
    const process = await bench.start(0, words, ports.listen)
    started.push({ name, port: ports.listen, processes: [process] })
  }
  const flags = ['--concurrency', '1', '-l', 'error']
  await add('nginx', async (ports) => {
    const file = await bench.file('nginx.conf', nginxProxyConfig(ports))
    return [needed('nginx', 'nginx-light'), '-c', file, '-p', bench.folder]
  })
  await add('haproxy', async (ports) => {
    const haproxy = findCommand('haproxy')
    return haproxy === undefined ? undefined : [haproxy, '-q', '-f', await bench.file('haproxy.cfg', haproxyConfig(ports))]
  })
  await add('envoy', async (ports) => {
    const envoy = installEnvoy()
    const file = await bench.file('envoy.yaml', envoyBootstrap(ports, 'envoy'))
    return envoy === undefined ? undefined : [envoy, '-c', file, '--disable-hot-restart', ...flags]
  })
  await add('weft', async (ports) => {
    const file = await bench.file('weft.yaml', envoyBootstrap(ports, 'weft'))
    return [...weftProxyCommand(), '-c', file, ...flags]
  })
  return started
}
