import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { createLogger } from '@weft/service/logger'
import { expect, onTestFinished, test, vi } from 'vitest'
import { PlatformClient } from '../../registries/platform-client.ts'
import { ConsulConfig } from './consul-config.ts'

const patience = 10_000
/** A key-value store that answers each query with what it holds, once that is newer than the query's index. */
async function store() {
  const keys = new Map<string, { text: string; index: number }>()
  let index = 5
  let waiting: (() => void)[] = []
  const answer = (response: ServerResponse): void => {
    const found = [...keys].map(([Key, { text, index: at }]) => ({
      Key,
      Value: Buffer.from(text).toString('base64'),
      ModifyIndex: at,
    }))
    response.writeHead(found.length === 0 ? 404 : 200, { 'x-consul-index': index })
    response.end(found.length === 0 ? '' : JSON.stringify(found))
  }
  const server = createServer((request, response) => {
    const asked = Number(new URL(request.url ?? '/', 'http://x').searchParams.get('index') ?? 0)
    if (asked < index) answer(response)
    else waiting.push(() => answer(response))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const client = new PlatformClient({
    ...{ platform: 'Consul', url: new URL(`http://127.0.0.1:${address.port}`), tokenHeader: 'x-consul-token', maxConnections: 2 },
  })
  const config = new ConsulConfig({ client, query: {}, prefix: 'weft/config/', logger: createLogger('pilot', 'silent') })
  onTestFinished(() => void server.close())
  onTestFinished(() => void server.closeAllConnections())
  onTestFinished(() => config.close())
  const changed = (): void => {
    const wake = waiting
    waiting = []
    for (const one of wake) one()
  }
  return {
    config,
    put(key: string, text: string) {
      index += 1
      keys.set(key, { text, index })
      changed()
    },
    remove(key: string) {
      index += 1
      keys.delete(key)
      changed()
    },
  }
}

const service = (name: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { ports: [{ name: http, port: 80 }] }\n`

test('each key is a file: objects come, change and go with it', async () => {
  const { config, put, remove } = await store()
  await vi.waitFor(() => expect(config.state.synced).toBe(true), patience)
  expect(config.current.objects.size).toBe(0)
  put('weft/config/a', service('a'))
  put('weft/config/b', `${service('b')}---\n${service('c')}`)
  await vi.waitFor(() => expect([...config.current.objects.keys()].sort()).toHaveLength(3), patience)
  const { object } = config.current.objects.get('Service/default/c') ?? {}
  expect(object?.document).toMatchObject({ file: 'consul:weft/config/b', line: 6 })
  remove('weft/config/b')
  await vi.waitFor(() => expect([...config.current.objects.keys()]).toEqual(['Service/default/a']), patience)
})

test('a key that is broken keeps what it had, and says where it is broken', async () => {
  const { config, put } = await store()
  put('weft/config/a', service('a'))
  await vi.waitFor(() => expect(config.current.objects.size).toBe(1), patience)
  put('weft/config/a', 'kind: [')
  await vi.waitFor(() => expect(config.current.problems).toHaveLength(1), patience)
  expect(config.current.problems[0]).toMatchObject({ severity: 'error', file: 'consul:weft/config/a' })
  expect(config.current.objects.size).toBe(1)
})
