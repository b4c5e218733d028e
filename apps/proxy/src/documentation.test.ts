import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'

test('the first configuration in docs/proxy.md runs and answers', async () => {
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
