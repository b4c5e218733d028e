import { once } from 'node:events'
import net from 'node:net'
import { constants } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { endedBadly, isNotNow, Poller, readSize } from './poller.ts'

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
        readsLittle: false,
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
          readsLittle: false,
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
          readsLittle: false,
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

  it.each([
    { readsLittle: false, size: 16 * 1024 },
    { readsLittle: true, size: 2 * 1024 },
  ])(
    'reads $size bytes of an answer at first ($readsLittle: to little use), and says that there is more',
    async ({ readsLittle, size }) => {
      const { fd, far } = await pair()
      const sent = 40_000
      await new Promise((resolve) => far.write(Buffer.alloc(sent), resolve))
      const [length, more] = await new Promise<[number, boolean]>((resolve) => {
        const slot = the.add(fd, {
          fd,
          isOpen: true,
          isAnswer: true,
          readsLittle,
          onRead(_, start, end, left) {
            the.remove(slot, fd)
            resolve([end - start, left])
          },
          onReadEnd() {},
        })
      })
      expect(length).toBe(size)
      expect(more).toBe(true)
      expect(the.receive(fd, Buffer.allocUnsafeSlow(readSize))).toBe(sent - length)
    },
  )

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
          readsLittle: false,
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
