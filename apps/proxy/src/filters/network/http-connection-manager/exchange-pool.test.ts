import net from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { cluster, connectionManager, listener, routeTo } from '../../../testing/resources.ts'
import { Upstream, until, WorkerHarness } from '../../../testing/worker-harness.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function proxyTo(origin: Upstream): Promise<WorkerHarness> {
  await origin.listen()
  open.push(origin)
  const proxy = new WorkerHarness()
  open.push(proxy)
  const manager = connectionManager([routeTo('c')])
  expect(await proxy.apply(cluster('c', [origin.port]), listener('in', [{ filters: [manager] }]))).toEqual([])
  return proxy
}

/** A client whose connection stays. */
function connect(proxy: WorkerHarness) {
  const socket = net.connect(proxy.port('in'), '127.0.0.1')
  open.push({ close: () => socket.destroy() })
  let text = ''
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text += piece
  })
  return {
    socket,
    send: (path: string, headers = '', body = '') => socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n${headers}\r\n${body}`),
    answer: async (body: string) => {
      await until(() => text.endsWith(body), body)
      const answer = text
      text = ''
      return answer
    },
  }
}

it('nothing of a request is left to the next of another connection', async () => {
  const origin = new Upstream((request, response, body) => {
    if (request.url === '/first') response.setHeader('x-own', 'yes').statusCode = 201
    response.end(`${request.url}:${request.headers['x-team'] ?? ''}:${body};`)
  })
  const proxy = await proxyTo(origin)
  const [one, other] = [connect(proxy), connect(proxy)]
  for (let i = 0; i < 3; i++) {
    one.send('/first', 'x-team: blue\r\ncontent-length: 3\r\n', 'abc')
    expect(await one.answer('/first:blue:abc;')).toMatch(/^HTTP\/1\.1 201 [\s\S]*x-own: yes/)
    other.send('/second')
    const answer = await other.answer('/second::;')
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).not.toContain('x-own')
  }
})

it('what comes late for a client that has left is nobody else’s', async () => {
  const late: (() => void)[] = []
  const origin = new Upstream((request, response) => {
    if (request.url !== '/left') {
      response.end(`${request.url};`)
      return
    }
    response.write('part;')
    late.push(() => response.end('secret;'))
  })
  const proxy = await proxyTo(origin)
  const other = connect(proxy)
  for (let i = 0; i < 3; i++) {
    const one = connect(proxy)
    one.send('/left')
    await until(() => late.length > 0, 'the request')
    one.socket.destroy()
    await until(() => proxy.stats.value('http.test.downstream_rq_active') === 0, 'its end')
    other.send(`/stays${i}`)
    late.pop()!()
    expect(await other.answer(`/stays${i};`)).not.toContain('secret')
  }
})
