import { createLogger } from '@weft/service/logger'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { KubernetesClient } from './client.ts'
import { ListWatch, type ListWatchOptions, type Timing } from './list-watch.ts'
import { accessTo } from './testing/access-to.ts'
import { StubApiServer } from './testing/stub-api-server.ts'

const services = '/api/v1/services'
const timing: Partial<Timing> = { leastRetryMs: 5, mostRetryMs: 20 }
const patience = { timeout: 10_000, interval: 5 }

let server: StubApiServer

beforeEach(async () => {
  server = await StubApiServer.start()
  onTestFinished(() => server.stop())
})

interface Followed {
  watch: ListWatch<string>
  changes: string[][]
  names(): string[]
}

function follow(options: Partial<ListWatchOptions<string>> = {}): Followed {
  const client = new KubernetesClient(accessTo(server.url), { maxLineBytes: 10_000, idleMs: 2_000 })
  const changes: string[][] = []
  const watch = new ListWatch<string>({
    client,
    resource: { group: '', version: 'v1', plural: 'services' },
    read: ({ metadata, value }) => `${metadata.name}:${String(value['spec'])}`,
    onChange: (keys) => void changes.push([...keys].sort()),
    logger: createLogger('test', 'silent'),
    timing,
    ...options,
  })
  onTestFinished(() => {
    client.close()
    return watch.close()
  })
  return { watch, changes, names: () => [...watch.items.values()].sort() }
}

function put(name: string, spec = '1', namespace = 'default'): void {
  server.put(services, { metadata: { name, namespace }, spec })
}

describe.each([
  ['streamed lists', true],
  ['paged lists', false],
])('with %s', (_, streams) => {
  beforeEach(() => {
    server.streams = streams
  })

  test('the first list is told once, then each change', async () => {
    put('a')
    put('b')
    const { watch, changes, names } = follow()
    await vi.waitFor(() => expect(watch.synced).toBe(true), patience)
    expect(names()).toEqual(['a:1', 'b:1'])
    await vi.waitFor(() => expect(server.watches).toBe(1), patience)
    put('c')
    put('a', '2')
    server.remove(services, 'default', 'b')
    await vi.waitFor(() => expect(names()).toEqual(['a:2', 'c:1']), patience)
    expect(changes[0]).toEqual(['default/a', 'default/b'])
    expect(changes.slice(1).flat().sort()).toEqual(['default/a', 'default/b', 'default/c'])
  })

  test('an empty collection is told too: the first list is in', async () => {
    const { watch, changes } = follow()
    await vi.waitFor(() => expect(watch.synced).toBe(true), patience)
    expect(changes).toEqual([[]])
  })

  test('a server that is gone is waited for, the copy stays, and what changed meanwhile is taken', async () => {
    put('a')
    const { watch, names } = follow()
    await vi.waitFor(() => expect(watch.synced).toBe(true), patience)
    await server.stop()
    await vi.waitFor(() => expect(watch.problem).toContain('gave no answer'), patience)
    expect(names()).toEqual(['a:1'])
    put('b')
    server.remove(services, 'default', 'a')
    await server.start()
    await vi.waitFor(() => expect(names()).toEqual(['b:1']), patience)
    await vi.waitFor(() => expect(watch.problem).toBeUndefined(), patience)
  })

  test('a version that is compacted away leads to a new list, which tells only of what differs', async () => {
    put('a')
    put('b')
    const { watch, changes, names } = follow()
    await vi.waitFor(() => expect([server.watches, watch.synced]).toEqual([1, true]), patience)
    const before = watch.items.get('default/a')
    await server.stop()
    server.remove(services, 'default', 'b')
    put('c')
    server.compact()
    changes.length = 0
    await server.start()
    await vi.waitFor(() => expect(names()).toEqual(['a:1', 'c:1']), patience)
    expect(changes.flat().sort()).toEqual(['default/b', 'default/c'])
    expect(watch.items.get('default/a')).toBe(before)
  })

  test('a watch that ends goes on from its last version, without a new list', async () => {
    put('a')
    const { watch, names } = follow()
    await vi.waitFor(() => expect(server.watches).toBe(1), patience)
    const lists = (): number => server.requests.filter((line) => !line.includes('resourceVersion=')).length
    const before = lists()
    put('b')
    await vi.waitFor(() => expect(names()).toEqual(['a:1', 'b:1']), patience)
    server.endWatches()
    put('c')
    await vi.waitFor(() => expect(names()).toEqual(['a:1', 'b:1', 'c:1']), patience)
    expect(lists()).toBe(before)
    expect(watch.problem).toBeUndefined()
  })

  test('a bookmark moves the version on, so that compaction of older ones does no harm', async () => {
    put('a')
    const { changes, names } = follow()
    await vi.waitFor(() => expect(server.watches).toBe(1), patience)
    server.put('/api/v1/pods', { metadata: { name: 'other', namespace: 'default' } })
    server.compact()
    server.bookmark()
    put('b')
    await vi.waitFor(() => expect(names()).toEqual(['a:1', 'b:1']), patience)
    const asked = server.requests.length
    server.endWatches()
    await vi.waitFor(() => expect(server.watches).toBe(1), patience)
    expect(server.requests).toHaveLength(asked + 1)
    expect(changes).toHaveLength(2)
  })
})

test('a list of many pages is put together; one whose pages are compacted away is asked for whole', async () => {
  server.streams = false
  for (let index = 0; index < 25; index++) put(`s${index}`)
  const { watch } = follow({ timing: { ...timing, pageSize: 10 } })
  await vi.waitFor(() => expect(watch.items.size).toBe(25), patience)
  expect(server.requests.filter((line) => line.includes('continue='))).toHaveLength(2)

  const compacting = follow({
    timing: { ...timing, pageSize: 10 },
    read: ({ metadata }) => {
      if (metadata.name === 's9') {
        put('late')
        server.compact()
      }
      return metadata.name
    },
  })
  await vi.waitFor(() => expect(compacting.watch.items.size).toBe(26), patience)
})

test('one namespace is listed alone, with selectors', async () => {
  put('a')
  put('b', '1', 'other')
  const { names } = follow({ namespace: 'other', labelSelector: 'app=x', fieldSelector: 'spec.nodeName=n' })
  await vi.waitFor(() => expect(names()).toEqual(['b:1']), patience)
  expect(server.requests[0]).toContain('/api/v1/namespaces/other/services?labelSelector=app%3Dx&fieldSelector=spec.nodeName%3Dn')
})

test('a right that is missing is told with what to do, and taken up when it is given', async () => {
  server.refuse = () => 403
  const { watch } = follow()
  await vi.waitFor(() => expect(watch.problem).toContain('by RBAC'), patience)
  expect(watch.synced).toBe(false)
  server.refuse = undefined
  await vi.waitFor(() => expect(watch.synced).toBe(true), patience)
  expect(watch.problem).toBeUndefined()
})

test.each([
  ['no JSON', 'nonsense'],
  ['an unknown event', '{"type":"SURPRISE","object":{}}'],
  ['an error of the stream', '{"type":"ERROR","object":{"code":500,"message":"broken"}}'],
  ['a line without end', 'x'.repeat(20_000)],
])('a watch that sends %s is opened again, and nothing is lost', async (_, line) => {
  put('a')
  const { names } = follow()
  await vi.waitFor(() => expect(server.watches).toBe(1), patience)
  const asked = server.requests.length
  server.sendLine(line)
  await vi.waitFor(() => expect(server.requests.length).toBeGreaterThan(asked), patience)
  put('b')
  await vi.waitFor(() => expect(names()).toEqual(['a:1', 'b:1']), patience)
})

test('a connection on which nothing comes is given up', async () => {
  put('a')
  const { watch } = follow()
  await vi.waitFor(() => expect([server.watches, watch.synced]).toEqual([1, true]), patience)
  const asked = server.requests.length
  await vi.waitFor(() => expect(server.requests.length).toBeGreaterThan(asked), patience)
})
