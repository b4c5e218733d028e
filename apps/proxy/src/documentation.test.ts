import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { parse } from 'yaml'

test('the first configuration in docs/proxy.md runs and answers', { timeout: 60_000 }, async () => {
  const page = await readFile(join(import.meta.dirname, '../../../docs/proxy.md'), 'utf8')
  const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
  expect(example).toContain('hello from the proxy')
  const folder = await mkdtemp(join(tmpdir(), 'weft-docs-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'envoy.yaml')
  const adminFile = join(folder, 'admin')
  await writeFile(config, example.replace('port_value: 9901', 'port_value: 0').replace('port_value: 10000', 'port_value: 0'))

  const flags = ['-c', config, '--concurrency', '1', '--admin-address-path', adminFile]
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...flags], { stdio: 'ignore' })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await gone
  })
  await vi.waitFor(() => expect(existsSync(adminFile)).toBe(true), 15_000)
  const admin = (await readFile(adminFile, 'utf8')).trim()
  const address = await vi.waitFor(async () => {
    const listeners = await (await fetch(`http://${admin}/listeners`)).text()
    const found = /ingress::(\S+)/.exec(listeners)?.[1]
    expect(found).toBeDefined()
    return found
  }, 15_000)
  const answer = await fetch(`http://${address}/hello`)
  expect([answer.status, await answer.text()]).toEqual([200, 'hello from the proxy'])
})

test('parts of a configuration on the pages are valid where they belong', { timeout: 60_000 }, async () => {
  const pages = ['proxy.md', 'proxy-filters.md', 'mixer-filter.md'].map((name) =>
    join(import.meta.dirname, '../../../docs', name),
  )
  const blocks = (await Promise.all(pages.map((page) => readFile(page, 'utf8')))).flatMap((page) =>
    [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block = '']) => block),
  )
  const parts = blocks
    .map((block) => parse(block.replace('/etc/weft/api-keys.ts', import.meta.filename)) as object)
    .filter((part) => 'http_filters' in part || 'tracing' in part)
  expect(parts).toHaveLength(3)
  const router = { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' }
  const manager = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
  const chain = (part: object) => ({
    filters: [
      {
        name: 'http',
        typed_config: {
          '@type': manager,
          stat_prefix: 'http',
          route_config: {},
          http_filters: [{ name: 'router', typed_config: router }],
          ...part,
        },
      },
    ],
  })
  const address = { socket_address: { address: '127.0.0.1', port_value: 0 } }
  const listeners = parts.map((part, at) => ({ name: `l${at}`, address, filter_chains: [chain(part)] }))
  const clusters = ['mixer', 'otlp'].map((name) => ({ name, load_assignment: { cluster_name: name } }))
  const bootstrap = JSON.stringify({ static_resources: { listeners, clusters } })
  const flags = ['--mode', 'validate', '--config-yaml', bootstrap]
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...flags], {
    encoding: 'utf8',
  })
  expect({ status, told: stdout + stderr }).toMatchObject({ status: 0, told: expect.stringContaining('OK') })
})
