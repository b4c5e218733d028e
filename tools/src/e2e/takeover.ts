/**
 * `npm run e2e -- takeover`: one proxy after another takes the port from the one before it, with the same configuration, as
 * clients keep sending on lasting connections and on new ones, and no request is lost. `WEFT_TAKEOVERS` says how often (10).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, start, until, untilListening } from '../processes.ts'
import { startClient, startOrigins } from './churn/load.ts'
import { address, cluster, type Message, router, typed } from './parity/bootstrap.ts'
import { weftSubject } from './parity.ts'
import type { Scenario } from './scenario.ts'

const times = Number(process.env['WEFT_TAKEOVERS'] ?? 10)

export async function takeoverScenario(scenario: Scenario): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-takeover-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const [port, admin, origins] = [await freePort(), await freePort(), await startOrigins(scenario)]
  const file = join(folder, 'bootstrap.json')
  await writeFile(file, JSON.stringify(bootstrap(port, admin, origins)))
  const startProxy = (epoch: number) => {
    const flags = ['-c', file, '--concurrency', '2', '-l', 'info', '--drain-time-s', '20', '--restart-epoch', String(epoch)]
    const proxy = start([...weftSubject.command, ...flags])
    scenario.cleanup(() => proxy.stop())
    return proxy
  }

  let proxy = startProxy(0)
  await untilListening(port, proxy, undefined, 60_000)
  scenario.section(`${times} takeovers under load`)
  const clients = [
    startClient(scenario, { port, connections: 16, perConnection: 1e9, pauseMs: 0 }),
    startClient(scenario, { port, connections: 4, perConnection: 1e9, pauseMs: 100 }),
    startClient(scenario, { port, connections: 8, perConnection: 1, pauseMs: 0 }),
  ]
  const sent = (): number => clients.reduce((sum, { count }) => sum + count().requests, 0)
  await until(() => sent() > 1000, 'the first requests', proxy)
  const exits: (number | null)[] = []
  let longestMs = 0
  for (let epoch = 1; epoch <= times; epoch++) {
    const next = startProxy(epoch)
    await until(() => next.output().includes('starting workers'), 'the next proxy to be live', next, 60_000)
    const began = performance.now()
    const old = proxy
    const gone = new Promise<number | null>((resolve) => old.child.once('exit', resolve))
    old.child.kill('SIGTERM')
    exits.push(await gone)
    longestMs = Math.max(longestMs, performance.now() - began)
    proxy = next
    const before = sent()
    await until(() => sent() > before + 1000, 'requests through the next proxy', proxy, 60_000)
  }
  await Promise.all(clients.map((client) => client.end()))
  const names = ['on busy connections', 'on connections that pause', 'on connections of one request']
  for (const [index, client] of clients.entries()) {
    const { requests, failures } = client.count()
    const failed = Object.entries(failures).map(([why, count]) => `${count} × ${why}`)
    scenario.check(`no request failed ${names[index]}`, failed.length === 0, failed.join('; ') || `${requests} requests`, 'on')
  }
  const clean = exits.every((code) => code === 0)
  scenario.check('each proxy ended by itself', clean, `exit codes ${exits.join(', ')}, ${longestMs.toFixed(0)} ms at most`, 'on')
  await scenario.attempt('the last one has the admin address', async () => {
    const text = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=hot_restart_epoch`)).text()
    if (!text.includes(`hot_restart_epoch: ${times}`)) throw new Error(text)
    return text.trim()
  })
}

function bootstrap(port: number, admin: number, origins: readonly number[]): Message {
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] }],
    },
    http_filters: [router],
  })
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }]
  return {
    admin: { address: address(admin) },
    static_resources: {
      listeners: [{ name: 'in', address: address(port), filter_chains: [{ filters }] }],
      clusters: [cluster('a', origins)],
    },
  }
}
