import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Connection } from './connection.ts'
import { connectPlain, rewrapAccepted } from './open-connection.ts'
import { threadPoller } from './poller.ts'
import { askForRoundTrips } from './round-trips.ts'
import { TimerWheel } from './timer-wheel.ts'

const isPolled = threadPoller() !== null
if (!isPolled) console.log('reads by the poller: need Linux and koffi, left out')

const opened: (net.Socket | net.Server)[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one instanceof net.Server ? one.close() : one.destroy()
})

describe('connections', () => {
  const timers = new TimerWheel()

  /** A server that gives back what comes, and a client; both as the proxy has them. */
  async function echo(): Promise<{ client: Connection; server: Connection; got: Buffer[]; closed: Promise<void> }> {
    const listening = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
    listening.listen(0, '127.0.0.1')
    await once(listening, 'listening')
    opened.push(listening)
    const got: Buffer[] = []
    let onClosed = (): void => {}
    const closed = new Promise<void>((resolve) => {
      onClosed = resolve
    })
    const client = connectPlain({ port: (listening.address() as net.AddressInfo).port, host: '127.0.0.1' }, (socket) => {
      opened.push(socket)
      return new Connection(
        socket,
        {
          onBytes: (bytes, start, end) => got.push(Buffer.from(bytes.subarray(start, end))),
          onEnd: () => client.closeWhenFlushed(),
          onWritable() {},
          onClose: onClosed,
        },
        timers,
        null,
      )
    })
    const [accepted] = (await once(listening, 'connection')) as [net.Socket]
    const server: Connection = rewrapAccepted(accepted, (socket) => {
      opened.push(socket)
      return new Connection(
        socket,
        {
          onBytes(bytes, start, end) {
            if (!server.write(bytes, start, end)) server.pause()
          },
          onEnd: () => server.closeWhenFlushed(),
          onWritable: () => server.resume(),
          onClose() {},
        },
        timers,
        null,
      )
    })
    server.startReading()
    return { client, server, got, closed }
  }

  it('carry many MiB with pauses on both sides, and end when the peer has', async () => {
    const { client, got, closed } = await echo()
    const all = Buffer.alloc(8 * 1024 * 1024)
    for (let i = 0; i < all.length; i += 4) all.writeUInt32LE(i, i)
    client.pause()
    for (let at = 0; at < all.length; at += 100_000) client.write(all, at, Math.min(at + 100_000, all.length))
    client.endWriting()
    await new Promise((resolve) => setImmediate(resolve))
    expect(got).toEqual([])
    client.resume()
    await closed
    expect(Buffer.concat(got).equals(all)).toBe(true)
  })

  it('keep what came in the round in which another had them pause', async () => {
    const [one, two] = [await echo(), await echo()]
    // Whoever of the two is first pauses the other.
    let paused: Connection | null = null
    for (const [self, other] of [
      [one, two],
      [two, one],
    ] as const) {
      const { handler } = self.client
      self.client.handler = {
        ...handler,
        onBytes(bytes, start, end) {
          handler.onBytes(bytes, start, end)
          if (paused !== null) return
          paused = other.client
          paused.pause()
        },
      }
    }
    await Promise.all([one, two].map(({ server }) => new Promise((resolve) => server.socket.write('hello', resolve))))
    await vi.waitFor(() => expect(paused).not.toBeNull())
    for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve))
    const waiting = paused === one.client ? one : two
    expect(waiting.got).toEqual([])
    waiting.client.resume()
    await vi.waitFor(() => expect(Buffer.concat(waiting.got).toString()).toBe('hello'))
    waiting.server.socket.write(' again')
    await vi.waitFor(() => expect(Buffer.concat(waiting.got).toString()).toBe('hello again'))
  })

  it.skipIf(!isPolled)('tell of an end in the round that finds it, before others that come after, and once', async () => {
    const { client, server, closed } = await echo()
    let ends = 0
    server.handler = {
      ...server.handler,
      onEnd: () => ends++,
    }
    const { onReadEnd } = server
    const endsInRound = new Promise<number>((resolve) => {
      server.onReadEnd = (result) => {
        onReadEnd.call(server, result)
        resolve(ends)
      }
    })
    client.endWriting()
    expect(await endsInRound).toBe(1)
    server.pause()
    server.resume()
    for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve))
    expect(ends).toBe(1)
    server.endWriting()
    await closed
    await vi.waitFor(() => expect(server.isClosed).toBe(true))
  })

  it.skipIf(!isPolled)('know how long the way to their peer is, also when they are over', async () => {
    askForRoundTrips()
    const { client, server, closed } = await echo()
    client.write(Buffer.from('hello'), 0, 5)
    await vi.waitFor(() => expect(client.bytesRead).toBe(5))
    for (const one of [client, server]) expect(one.roundTripMs).toBeGreaterThanOrEqual(0)
    client.endWriting()
    await closed
    await vi.waitFor(() => expect(server.isClosed).toBe(true))
    for (const one of [client, server]) expect(one.roundTripMs).toBeGreaterThanOrEqual(0)
  })

  it('hear of a reset while they wait', async () => {
    const { server, closed } = await echo()
    server.resetNow()
    await closed
  })
})
