/** HTTP/2 clients through a proxy on one core, to HTTP/1.1 and to HTTP/2 servers, 1 KiB answers. */

import { cluster, http, typed } from '../e2e/parity/bootstrap.ts'
import { freePort } from '../processes.ts'
import { type BenchOptions, chosen } from './bench-options.ts'
import { nginxUpstreamConfig } from './http1-configs.ts'
import { Bench, type Contender, h2load, measure, needed } from './proxy-bench.ts'

const clients = 16
const streams = 8

/** Runs the benchmark and prints a table and one JSON line for each kind of server. */
export async function benchH2(options: BenchOptions): Promise<void> {
  const names = chosen(['envoy', 'weft', 'nginx'], options.only)
  await Bench.run(async (bench) => {
    const http1: [number, number] = [await freePort(), await freePort()]
    const config = await bench.file('upstream.conf', nginxUpstreamConfig(http1, bench.folder))
    const nginx = needed('nginx', 'nginx-light')
    await bench.start(1, [nginx, '-c', config, '-p', bench.folder], http1[0])
    await bench.file('item', 'x'.repeat(1024))
    const http2 = await freePort()
    const nghttpd = needed('nghttpd', 'nghttp2-server')
    await bench.start(1, [nghttpd, '--no-tls', '-a', '127.0.0.1', '-d', bench.folder, String(http2)], http2)
    for (const [to, port] of [
      ['HTTP/1.1', http1[0]],
      ['HTTP/2', http2],
    ] as const) {
      const contenders: Contender[] = []
      for (const kind of names.filter((name) => name !== 'nginx')) {
        const listen = await freePort()
        const bootstrap = http2Bootstrap(listen, await freePort(), port, to === 'HTTP/2')
        const process = await bench.proxy(kind, `${kind}-${port}`, bootstrap, listen)
        if (process === undefined) console.log(`${kind}: not present on this machine, left out`)
        else contenders.push(contenderAt(kind, listen, process))
      }
      if (to === 'HTTP/1.1' && names.includes('nginx')) {
        const listen = await freePort()
        const file = await bench.file('nginx.conf', nginxConfig(listen, port, bench.folder))
        contenders.push(contenderAt('nginx', listen, await bench.start(0, [nginx, '-c', file, '-p', bench.folder], listen)))
      }
      const title = `HTTP/2 to ${to}, ${clients} connections with ${streams} streams, 1 KiB answers, one core`
      await measure(to === 'HTTP/2' ? 'h2-h2' : 'h2-h1', title, contenders, options)
    }
  })
}

function contenderAt(name: string, port: number, process: Contender['processes'][number]): Contender {
  return { name, processes: [process], load: (seconds) => h2load(`http://127.0.0.1:${port}/item`, clients, streams, seconds) }
}

/** A proxy for HTTP/2 clients: one route, no filter but the router's. */
export function http2Bootstrap(listen: number, admin: number, upstream: number, upstreamHttp2: boolean): object {
  const options = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
        explicit_http_config: { http2_protocol_options: {} },
      }),
    },
  }
  return http(
    { http: listen, admin },
    {
      clusters: [
        cluster('a', [upstream], {
          ...(upstreamHttp2 ? options : {}),
          circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }] },
        }),
      ],
      routes: [{ match: { prefix: '/' }, route: { cluster: 'a', timeout: '0s' } }],
      manager: { access_log: [], stream_idle_timeout: '0s' },
    },
  )
}

/** nginx as the proxy for HTTP/2 clients. */
export function nginxConfig(listen: number, upstream: number, folder: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  ${kinds.map((kind) => `${kind}_temp_path ${folder}/nginx-${kind};`).join(' ')}
  access_log off;
  upstream origin { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${listen} http2 backlog=1024; keepalive_requests 100000000;
    location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://origin; }
  }
}
`
}
