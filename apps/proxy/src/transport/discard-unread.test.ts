import { once } from 'node:events'
import net from 'node:net'
import { expect, it } from 'vitest'
import { Connection, ignore } from './connection.ts'
import { closeUnread } from './discard-unread.ts'
import { rewrapAccepted } from './open-connection.ts'
import { threadPoller } from './poller.ts'
import { TimerWheel } from './timer-wheel.ts'

const needs = threadPoller() === null ? ' (left out: needs Linux and koffi)' : ''

/** What a client hears that has sent something before `close` is called with its socket. */
async function heard(close: (accepted: net.Socket) => void): Promise<'end' | string | undefined> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect({ port: (server.address() as net.AddressInfo).port })
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  try {
    // Loopback: what was written is there.
    await new Promise((resolve) => client.write('hello', resolve))
    const first = new Promise<string | undefined>((resolve) => {
      client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
      client.on('end', () => resolve('end'))
    })
    client.resume()
    close(accepted)
    return await first
  } finally {
    client.destroy()
    server.close()
  }
}

it.skipIf(needs !== '')(`who is closed unread hears an end${needs}`, async () => {
  expect(await heard((socket) => socket.destroy())).toBe('ECONNRESET')
  expect(await heard(closeUnread)).toBe('end')
})

it.skipIf(needs !== '')(`so does who has a connection here that is never read${needs}`, async () => {
  const wrap = (socket: net.Socket) => rewrapAccepted(socket, (one) => new Connection(one, ignore, new TimerWheel(), null))
  expect(await heard((socket) => wrap(socket).destroy())).toBe('end')
  // One that is read, and waits, leaves what has come where it is.
  expect(
    await heard((socket) => {
      const connection = wrap(socket)
      connection.pause()
      connection.startReading()
      connection.destroy()
    }),
  ).toBe('ECONNRESET')
})
