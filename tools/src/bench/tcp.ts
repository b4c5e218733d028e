/**
 * Bytes through a TCP proxy on one core: haproxy, real Envoy and ours. Clients (wrk) fetch a file of 8 MiB from the origins
 * (nginx); to the proxies it is bytes. (nginx forwards TCP by a module that its small package has not.)
 */
import { cluster, tcp } from '../e2e/parity/bootstrap.ts'
import { findCommand } from '../peers.ts'
import { freePort, type Running } from '../processes.ts'
import { type BenchOptions, chosen } from './bench-options.ts'
import { Bench, type Contender, measure, needed, wrk } from './proxy-bench.ts'

const connections = 8
const fileBytes = 8 << 20

/** Runs the benchmark and prints a table and one JSON line. */
export function benchTcp(options: BenchOptions): Promise<void> {
  return Bench.run(async (bench) => {
    const names = chosen(['haproxy', 'envoy', 'weft'], options.only)
    const upstream = await freePort()
    await bench.file('file', 'x'.repeat(fileBytes))
    const nginx = needed('nginx', 'nginx-light')
    const origin = await bench.file('upstream.conf', fileServer(upstream, bench.folder))
    await bench.start(1, [nginx, '-c', origin, '-p', bench.folder], upstream)
    const contenders: Contender[] = []
    const add = async (name: (typeof names)[number], start: (listen: number) => Promise<Running | undefined>): Promise<void> => {
      if (!names.includes(name)) return
      const listen = await freePort()
      const process = await start(listen)
      if (process === undefined) return console.log(`${name}: not present on this machine, left out`)
      const load = async (seconds: number) => {
        const { bytes = 0, ...rest } = await wrk(`http://127.0.0.1:${listen}/file`, connections, seconds)
        return { ...rest, requests: bytes / 2 ** 20 }
      }
      contenders.push({ name, processes: [process], load })
    }
    await add('haproxy', async (listen) => {
      const haproxy = findCommand('haproxy')
      const file = await bench.file('haproxy.cfg', haproxyConfig(listen, upstream))
      return haproxy === undefined ? undefined : bench.start(0, [haproxy, '-q', '-f', file], listen)
    })
    for (const kind of ['envoy', 'weft'] as const) {
      await add(kind, async (listen) => {
        const ports = { http: listen, admin: await freePort() }
        return bench.proxy(kind, kind, tcp(ports, { clusters: [cluster('a', [upstream])], log: '' }), listen)
      })
    }
    await measure('tcp', `TCP, ${connections} connections, one core`, contenders, options, 'MiB', 'haproxy', 4_000)
  })
}

function fileServer(port: number, folder: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/files.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  ${kinds.map((kind) => `${kind}_temp_path ${folder}/files-${kind};`).join(' ')}
  access_log off;
  server { listen 127.0.0.1:${port}; keepalive_requests 100000000; root ${folder}; sendfile on; tcp_nopush on; }
}
`
}

function haproxyConfig(listen: number, upstream: number): string {
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${listen}
  default_backend origin
backend origin
  server a 127.0.0.1:${upstream}
`
}
