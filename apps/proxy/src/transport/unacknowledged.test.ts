import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { socketCalls } from './socket-calls.ts'

test.skipIf(process.platform !== 'linux')(
  'what a peer has read is acknowledged, what comes to one that is gone is not',
  async () => {
    const server = net.createServer({ allowHalfOpen: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const connect = async (): Promise<[net.Socket, net.Socket]> => {
      const accepted = once(server, 'connection')
      const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      client.on('error', () => {})
      await once(client, 'connect')
      const [peer] = await accepted
      return [client, peer as net.Socket]
    }
    const calls = socketCalls()

    const [read, reader] = await connect()
    reader.once('data', () => reader.end())
    read.write('request')
    await once(read.resume(), 'end')
    expect(calls.hasUnacknowledged(read)).toBe(false)
    read.destroy()

    const [late, closed] = await connect()
    closed.destroy()
    await once(late.resume(), 'end')
    late.write('request')
    expect(calls.hasUnacknowledged(late)).not.toBe(false)
    late.destroy()
    server.close()
  },
)
