import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@weft/service/testing/until'
import { describe, expect, onTestFinished, test } from 'vitest'

/** How long a proxy may take to start on a busy machine. */
const startMs = 50_000

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-proxy-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface Ended {
  code: number | null
  out: string
  err: string
}

function start(...argv: string[]): { child: ChildProcess; ended: Promise<Ended>; output(): string } {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (err += String(chunk)))
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, ended, output: () => err }
}

const manager = (listenerPort: number, filter = ''): string => `
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters:${filter}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config: {name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}
    address: {socket_address: {address: 127.0.0.1, port_value: ${listenerPort}}}`

const bootstrap = (upstreamPort: number, listenerPort = 0, filter = ''): string => `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - name: a
    type: STATIC
    connect_timeout: 1s
    load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${upstreamPort}}}}}]}]}
  listeners:
  - name: http
    filter_chains:
    - filters:${manager(listenerPort, filter)}
`

async function upstream(): Promise<number> {
  const server = createServer((request, response) => response.end(`upstream got ${request.url}`))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

function write(text: string): string {
  const file = join(folder(), 'x.yaml')
  writeFileSync(file, text)
  return file
}

async function adminOf(output: () => string): Promise<string> {
  const admin = (): string | undefined => /admin address: (\S+)/.exec(output())?.[1]
  await until(() => admin() !== undefined, 'the address of the admin server', startMs)
  return admin()!
}

async function live(admin: string): Promise<void> {
  await until(async () => (await fetch(`http://${admin}/ready`)).status === 200, 'the proxy to be live', startMs)
}

describe('weft-proxy', () => {
  test("starts from Envoy's static YAML, carries a request, tells its numbers, and ends by /quitquitquit with 0", async () => {
    const { ended, output } = start('-c', write(bootstrap(await upstream())), '--concurrency', '1')
    const admin = await adminOf(output)
    await live(admin)
    const listening = await (await fetch(`http://${admin}/listeners`)).text()
    const address = /^http::(\S+)$/m.exec(listening)?.[1]
    const answer = await fetch(`http://${address}/path`)
    expect([answer.status, await answer.text()]).toEqual([200, 'upstream got /path'])
    const stats = await (
      await fetch(`http://${admin}/stats?filter=${encodeURIComponent('^cluster\\.a\\.upstream_rq_2xx$')}`)
    ).text()
    expect(stats).toBe('cluster.a.upstream_rq_2xx: 1\n')
    expect((await fetch(`http://${admin}/quitquitquit`)).status).toBe(405)
    expect((await fetch(`http://${admin}/quitquitquit`, { method: 'POST' })).status).toBe(200)
    expect((await ended).code).toBe(0)
  })

  test('ends by SIGTERM with 0', async () => {
    const { child, ended, output } = start('-c', write(bootstrap(1)), '--concurrency', '1')
    await live(await adminOf(output))
    child.kill('SIGTERM')
    expect((await ended).code).toBe(0)
  })

  test('logs the sessions and requests that its end cuts off', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {}).on('data', (bytes) => String(bytes) === 'hello' && socket.write('heard'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const accessLog = (text: string): string =>
      `access_log: [{name: out, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog, log_format: {text_format_source: {inline_string: "${text}\\n"}}}}]`
    const { port } = server.address() as AddressInfo
    const http = bootstrap(port).replace(
      'stat_prefix: ingress',
      `stat_prefix: ingress\n          ${accessLog('http %RESPONSE_FLAGS%')}`,
    )
    const tcp = `
  - name: tcp
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: a
          ${accessLog('tcp %BYTES_SENT%')}
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
`
    const { child, ended, output } = start('-c', write(http + tcp), '--concurrency', '1', '--drain-time-s', '0')
    const admin = await adminOf(output)
    await live(admin)
    const listening = await (await fetch(`http://${admin}/listeners`)).text()
    const session = connect(Number(/^tcp::\S+:(\d+)$/m.exec(listening)?.[1]), '127.0.0.1')
    const request = connect(Number(/^http::\S+:(\d+)$/m.exec(listening)?.[1]), '127.0.0.1')
    onTestFinished(() => {
      session.destroy()
      request.destroy()
    })
    session.on('error', () => {}).write('hello')
    await once(session, 'data')
    const asked = once(server, 'connection')
    request.on('error', () => {}).write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await asked
    child.kill('SIGTERM')
    const { code, out } = await ended
    expect(code).toBe(0)
    expect(out.split('\n').sort()).toEqual(['', 'http DC', 'tcp 5'])
  })

  test('--mode validate says OK of a good configuration, and opens nothing', async () => {
    const file = write(bootstrap(1))
    expect(await start('-c', file, '--mode', 'validate').ended).toMatchObject({
      code: 0,
      out: `configuration '${file}' OK\n`,
      err: '',
    })
  })

  test.each([
    ['broken YAML', 'static_resources: [unclosed', /x\.yaml:1: not readable as YAML/],
    ['an unknown field', 'static_resources:\n  nonsense: 1\n', /x\.yaml:2: static_resources\.nonsense: unknown field/],
    [
      'a filter that this proxy has not',
      bootstrap(
        1,
        0,
        '\n          - {name: lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}',
      ),
      /x\.yaml:\d+: .*http_filters\[0\]\.typed_config\.@type: not supported by this proxy: 'envoy\.extensions\.filters\.http\.lua\.v3\.Lua'/,
    ],
    [
      'an admin port of nobody',
      'admin: {address: {socket_address: {address: 192.0.2.1, port_value: 1}}}',
      /admin\.address: admin server cannot listen on 192\.0\.2\.1:1/,
    ],
  ])('refuses %s in one line with exit code 1', async (_what, yaml, message) => {
    const { code, err } = await start('-c', write(yaml), '--concurrency', '1', '-l', 'warning').ended
    expect(err).toMatch(message)
    expect(err.trim().split('\n')).toHaveLength(1)
    expect(code).toBe(1)
  })

  test('refuses a file that is not there, and a port in use, in one line with exit code 1', async () => {
    const missing = await start('-c', '/nowhere/x.yaml').ended
    expect(missing.err).toMatch(/\/nowhere\/x\.yaml: cannot be read/)
    expect([missing.code, missing.err.trim().split('\n').length]).toEqual([1, 1])
    const port = await upstream()
    const taken = await start('-c', write(bootstrap(1, port)), '--concurrency', '1', '-l', 'error').ended
    expect(taken.err).toMatch(new RegExp(`error adding listener 'http'.*127\\.0\\.0\\.1:${port}`))
    expect(taken.code).toBe(1)
  })
})
