import { once } from 'node:events'
import net from 'node:net'
import { constants } from 'node:os'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Connection, connectPlain, rewrapAccepted } from './connection.ts'
import { endedBadly, isNotNow, Poller, readSize } from './poller.ts'
import { askForRoundTrips } from './round-trips.ts'
import { TimerWheel } from './timer-wheel.ts'

const poller = Poller.create()
if (poller === null) console.log('poller: needs Linux and koffi, left out')

const opened: (net.Socket | net.Server)[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one instanceof net.Server ? one.close() : one.destroy()
})

/** Two ends of a connection; Node does not read the first, whose descriptor comes with it. */
async function pair(): Promise<{ near: net.Socket; far: net.Socket; fd: number }> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const far = net.connect({ port: (server.address() as net.AddressInfo).port, allowHalfOpen: true })
  const [near] = (await once(server, 'connection')) as [net.Socket]
  opened.push(server, near, far)
  far.on('error', () => {})
  near.on('error', () => {})
  const { fd } = (near as unknown as { _handle: { fd: number } })._handle
  return { near, far, fd }
}

describe.skipIf(poller === null)('the poller', () => {
  const the = poller!

  /** What it tells next of `fd`: bytes as text, or the number of their absence. */
  const told = (fd: number): Promise<string | number> =>
    new Promise((resolve) => {
      const tell = (what: string | number): void => {
        the.remove(slot, fd)
        resolve(what)
      }
      const slot = the.add(fd, {
        fd,
        isOpen: true,
        isAnswer: false,
        onRead: (bytes, start, end) => tell(bytes.latin1Slice(start, end)),
        onReadEnd: tell,
      })
    })

  it('tells of bytes, of the end, and of a reset', async () => {
    const { far, fd } = await pair()
    far.write('hello')
    expect(await told(fd)).toBe('hello')
    expect(isNotNow(the.receive(fd, Buffer.allocUnsafeSlow(readSize)))).toBe(true)
    far.end()
    expect(await told(fd)).toBe(0)
    const other = await pair()
    other.far.write('before')
    await expect.poll(() => other.far.writableLength).toBe(0)
    other.far.resetAndDestroy()
    await once(other.far, 'close')
    expect(await told(other.fd)).toBe('before')
    expect(await told(other.fd)).toBe(-constants.errno.ECONNRESET)
  })

  it('tells of many in one round, also of those that left in it or came behind one that throws', async () => {
    const pairs = await Promise.all(Array.from({ length: 20 }, pair))
    await Promise.all(pairs.map(({ far }, i) => new Promise((resolve) => far.write(String(i), resolve))))
    // Loopback: what was written is there.
    const slots: number[] = []
    const heard: string[] = []
    const thrown: unknown[] = []
    const before = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error))
    await new Promise<void>((resolve) => {
      for (const [i, { fd }] of pairs.entries())
        slots[i] = the.add(fd, {
          fd,
          isOpen: true,
          isAnswer: false,
          onRead(bytes, start, end) {
            heard.push(bytes.latin1Slice(start, end))
            // Each ends the one behind it: its bytes have been read, and are its all the same.
            if (i % 2 === 0) for (const j of [i, i + 1]) the.remove(slots[j]!, pairs[j]!.fd)
            if (heard.length === pairs.length) setImmediate(() => setImmediate(resolve))
            if (i === 3) throw new Error('three')
          },
          onReadEnd() {},
        })
    })
    process.removeAllListeners('uncaughtException')
    for (const listener of before) process.on('uncaughtException', listener)
    expect(heard).toEqual(pairs.map((_, i) => String(i)))
    expect(thrown).toEqual([new Error('three')])
  })

  it('reads much in parts, and does not read what is closed by what came in an earlier one', async () => {
    const pairs = await Promise.all(Array.from({ length: 16 }, pair))
    const length = 32 * 1024
    await Promise.all(pairs.map(({ far }, i) => new Promise((resolve) => far.write(Buffer.alloc(length, i), resolve))))
    const heard = pairs.map((): Buffer[] => [])
    const last = pairs.length - 1
    const slots: number[] = []
    let lastIsOpen = true
    const ended = await new Promise<number>((resolve) => {
      for (const [i, { fd }] of pairs.entries())
        slots[i] = the.add(fd, {
          fd,
          get isOpen() {
            return i !== last || lastIsOpen
          },
          isAnswer: false,
          onRead(bytes, start, end) {
            heard[i]!.push(Buffer.from(bytes.subarray(start, end)))
            lastIsOpen = false
          },
          onReadEnd: resolve,
        })
    })
    for (const [i, { fd }] of pairs.entries()) the.remove(slots[i]!, fd)
    expect(ended).toBe(endedBadly)
    expect(the.receive(pairs[last]!.fd, Buffer.allocUnsafeSlow(readSize))).toBe(length)
    expect(heard.map((pieces) => Buffer.concat(pieces))).toEqual(pairs.map((_, i) => Buffer.alloc(i === last ? 0 : length, i)))
  })

  it('gives out all answers before most of the requests', async () => {
    const pairs = await Promise.all(Array.from({ length: 150 }, pair))
    await Promise.all(pairs.map(({ far }) => new Promise((resolve) => far.write('x', resolve))))
    const heard: boolean[] = []
    await new Promise<void>((resolve) => {
      for (const [i, { fd }] of pairs.entries()) {
        const isAnswer = i >= 100
        const slot = the.add(fd, {
          fd,
          isOpen: true,
          isAnswer,
          onRead() {
            heard.push(isAnswer)
            the.remove(slot, fd)
            if (heard.length === pairs.length) resolve()
          },
          onReadEnd() {},
        })
      }
    })
    expect(heard.lastIndexOf(true)).toBeLessThan(50 + 64)
  })

  it('writes what the kernel takes, and says when it takes no more', async () => {
    const { far, fd } = await pair()
    far.pause()
    const bytes = Buffer.alloc(1024 * 1024, 'x')
    expect(the.send(fd, bytes, 2, 5)).toBe(3)
    let sent = 1
    for (let total = 0; sent > 0 && total < 1e9; total += sent) sent = the.send(fd, bytes, 0, bytes.length)
    expect(isNotNow(sent)).toBe(true)
  })
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

  it.skipIf(poller === null)('tell of an end in the round that finds it, before others that come after, and once', async () => {
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

  it.skipIf(poller === null)('know how long the way to their peer is, also when they are over', async () => {
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
