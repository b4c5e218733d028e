import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import tls from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { TestAuthority } from '../testing/certificates.ts'
import { Connection, type ConnectionHandler } from './connection.ts'
import { connectSecure } from './open-connection.ts'
import { TimerWheel } from './timer-wheel.ts'

const timers = new TimerWheel()
const certificate = await (await TestAuthority.create()).issue('spiffe://test/server')
const opened: { close(): unknown }[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one.close()
})

/** A server whose connections are ours; gives its port. */
async function serve(handle: (connection: Connection) => ConnectionHandler): Promise<number> {
  const server = tls.createServer(certificate, (socket) => {
    const connection = new Connection(socket, ignore, timers, null)
    connection.handler = handle(connection)
    connection.readAccepted()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(server)
  return (server.address() as AddressInfo).port
}

const ignore: ConnectionHandler = { onBytes() {}, onEnd() {}, onWritable() {}, onClose() {} }

/** Writes back what comes, and reads no more while the peer does not keep up. */
function echo(connection: Connection): ConnectionHandler {
  return {
    onBytes(bytes, start, end) {
      if (!connection.write(bytes, start, end)) connection.pause()
    },
    onEnd: () => connection.closeWhenFlushed(),
    onWritable: () => connection.resume(),
    onClose() {},
  }
}

const pattern = Buffer.alloc(5 << 20)
for (let i = 0; i < pattern.length; i += 4) pattern.writeUInt32LE((i * 2_654_435_761) % 2 ** 32, i)

test('bytes through TLS come back in order, however many, and the end behind them', async () => {
  const port = await serve(echo)
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  const seen: Buffer[] = []
  client.on('data', (piece: Buffer) => seen.push(piece))
  client.end(pattern)
  await once(client, 'end')
  expect(Buffer.concat(seen).equals(pattern)).toBe(true)
})

test('many small writes of one turn and the close behind them arrive', async () => {
  const port = await serve((connection) => ({
    ...ignore,
    onBytes() {
      for (let i = 0; i < 1000; i++) {
        connection.write(Buffer.from(`${i}\n`), 0, `${i}\n`.length)
        // Each leaves by itself.
        connection.writeOut(Buffer.from('.'), 0, 1)
      }
      connection.closeWhenFlushed()
    },
  }))
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  client.write('go')
  let text = ''
  client.setEncoding('latin1').on('data', (piece: string) => {
    text += piece
  })
  await once(client, 'end')
  expect(text.replaceAll('.', '')).toBe(Array.from({ length: 1000 }, (_, i) => `${i}\n`).join(''))
  expect(text.replaceAll(/[^.]/g, '')).toHaveLength(1000)
})

test('a connection that is paused reads no more than had come, and all of it when it goes on', async () => {
  let server: Connection | null = null
  let read = 0
  const port = await serve((connection) => {
    server = connection
    return {
      ...ignore,
      onBytes(_bytes, start, end) {
        if (read === 0) connection.pause()
        read += end - start
      },
    }
  })
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  client.write(pattern)
  await expect.poll(() => read).toBeGreaterThan(0)
  // What was decrypted with the first piece is there; the rest waits outside.
  await expect.poll(() => client.writableLength).toBeGreaterThan(0)
  expect(read).toBeLessThanOrEqual(256 * 1024)
  server!.resume()
  await expect.poll(() => read, { timeout: 10_000 }).toBe(pattern.length)
  client.destroy()
})

test('a connection that we open with TLS sends and reads as much', async () => {
  const port = await serve(echo)
  const seen: Buffer[] = []
  let ended = false
  const connection = connectSecure({ port, host: '127.0.0.1', rejectUnauthorized: false }, (socket) => {
    return new Connection(socket, ignore, timers, null)
  })
  connection.handler = {
    ...ignore,
    onBytes: (bytes, start, end) => {
      seen.push(Buffer.from(bytes.subarray(start, end)))
    },
    onEnd: () => {
      ended = true
      connection.destroy()
    },
  }
  for (let at = 0; at < pattern.length; at += 100_000) connection.write(pattern, at, Math.min(pattern.length, at + 100_000))
  connection.endWriting()
  await expect.poll(() => ended, { timeout: 10_000 }).toBe(true)
  expect(Buffer.concat(seen).equals(pattern)).toBe(true)
})

test('a connection that is reset while it reads nothing is closed by what is written to it', async () => {
  let closed = 0
  const port = await serve((connection) => ({
    ...ignore,
    onBytes() {
      connection.pause()
      const writing = setInterval(() => {
        if (closed === 0) connection.write(Buffer.from('x'), 0, 1)
        else clearInterval(writing)
      }, 5)
    },
    onClose: () => closed++,
  }))
  const plain = connect({ port, host: '127.0.0.1' })
  const client = tls.connect({ socket: plain, rejectUnauthorized: false })
  client.on('error', () => {}).write('go')
  client.once('data', () => plain.resetAndDestroy())
  await expect.poll(() => closed, { timeout: 10_000 }).toBe(1)
})

test('connections that come and go by the hundred, with writes of every turn, lose no byte', async () => {
  const port = await serve(echo)
  const one = async (size: number): Promise<boolean> => {
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    const seen: Buffer[] = []
    client.on('data', (piece: Buffer) => seen.push(piece))
    for (let at = 0; at < size; at += 700) {
      client.write(pattern.subarray(at, Math.min(size, at + 700)))
      if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    client.end()
    await once(client, 'end')
    return Buffer.concat(seen).equals(pattern.subarray(0, size))
  }
  const all = await Promise.all(Array.from({ length: 150 }, (_, i) => one(1000 + 333 * i)))
  expect(all.every((isWhole) => isWhole)).toBe(true)
})
