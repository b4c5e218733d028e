import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { acceptOthers } from './accept-others.ts'

const opened: (net.Socket | net.Server)[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one instanceof net.Server ? one.close() : one.destroy()
})

async function listening(onConnection: (server: net.Server, socket: net.Socket) => void): Promise<net.Server> {
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    opened.push(socket)
    onConnection(server, socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(server)
  return server
}

/** Clients whose connections the kernel has made, while nobody has taken them yet; each sends its number. */
async function clients(server: net.Server, count: number): Promise<net.Socket[]> {
  const { port } = server.address() as net.AddressInfo
  const made = Array.from({ length: count }, () => net.connect(port, '127.0.0.1'))
  opened.push(...made)
  await Promise.all(made.map((socket, i) => once(socket, 'connect').then(() => socket.write(String(i)))))
  return made
}

describe.skipIf(process.platform !== 'linux')('connections that wait', () => {
  it('are taken with the one that Node tells of, and are like it', async () => {
    const taken: net.Socket[] = []
    let done = (): void => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    let events = 0
    const server = await listening((server, socket) => {
      events++
      taken.push(socket, ...acceptOthers(server, 8))
      if (taken.length === 20) done()
    })
    const made = await clients(server, 20)
    await all
    opened.push(...taken)
    expect(events).toBeLessThan(20)
    for (const socket of taken) expect(socket.isPaused()).toBe(true)
    const pairs = await Promise.all(
      taken.map(async (socket) => {
        socket.resume()
        const [bytes] = (await once(socket, 'data')) as [Buffer]
        return `${bytes} ${socket.remotePort} ${socket.localPort}`
      }),
    )
    expect(pairs.sort()).toEqual(made.map((socket, i) => `${i} ${socket.localPort} ${socket.remotePort}`).sort())
  })

  it('are taken up to a number, and not of a server that has been closed', async () => {
    const counts: number[] = []
    let done = (): void => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const server = await listening((server) => {
      const some = [...acceptOthers(server, 3)]
      opened.push(...some)
      counts.push(some.length)
      for (const one of acceptOthers(server, 3)) {
        opened.push(one)
        server.close()
        done()
      }
    })
    const { port } = server.address() as net.AddressInfo
    const made = Array.from({ length: 20 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
    opened.push(...made)
    await all
    expect(counts.every((count) => count <= 3)).toBe(true)
    expect([...acceptOthers(server, 3)]).toEqual([])
  })
})
