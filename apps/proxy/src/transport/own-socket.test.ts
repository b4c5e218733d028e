import { createRequire, findPackageJSON } from 'node:module'
import net from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, test } from 'vitest'
import { int, ownSockets, type SocketOption } from './own-socket.ts'

const canCall = process.platform === 'linux' && findPackageJSON('koffi', import.meta.url) !== undefined
if (!canCall) console.log('own sockets: need Linux and koffi, left out')

const loopback = Object.values(networkInterfaces()).flatMap((of = []) =>
  of.map(({ address }) => address).filter((address) => ['127.0.0.1', '::1'].includes(address)),
)

/** socket(7), tcp(7) */
const keepAlive: SocketOption = { level: 1, name: 9, value: int(1), state: 'prebind' }
const idle: SocketOption = { level: 6, name: 4, value: int(321), state: 'prebind' }
const unknown: SocketOption = { level: 1, name: 9999, value: int(1), state: 'prebind' }

const open: { close?(): unknown; destroy?(): unknown }[] = []
afterEach(() => {
  for (const one of open.splice(0)) {
    one.close?.()
    one.destroy?.()
  }
})

describe.skipIf(!canCall)('a socket of our own', () => {
  test.each(loopback)('listens on %s, and gives its options to the connections that come in', async (host) => {
    const { server, accepted } = await serve(host, [keepAlive, idle])
    const { port } = server.address() as net.AddressInfo
    open.push(net.connect({ host, port }))
    const socket = await accepted
    expect([optionOf(socket, keepAlive), optionOf(socket, idle)]).toEqual([1, 321])
  })

  test('gets what belongs to a state when it has come to it', async () => {
    const { server } = await serve('127.0.0.1', [{ ...keepAlive, state: 'bound' }])
    expect([optionOf(server, keepAlive), optionOf(server, idle)]).toEqual([1, 7200])
    ownSockets().apply(server, [{ ...idle, state: 'listening' }], 'listening')
    expect(optionOf(server, idle)).toBe(321)
  })

  test('connects with its options', async () => {
    const { server } = await serve('127.0.0.1', [])
    const { port } = server.address() as net.AddressInfo
    const socket = net.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' })
    open.push(socket)
    ownSockets().prepare(socket, '127.0.0.1', [keepAlive, idle])
    await new Promise((resolve) => socket.once('connect', resolve))
    expect([optionOf(socket, keepAlive), optionOf(socket, idle), socket.localAddress]).toEqual([1, 321, '127.0.0.2'])
  })

  test('is refused where an option is', () => {
    const socket = new net.Socket()
    open.push(socket)
    expect(() => ownSockets().bind('127.0.0.1', 0, false, [unknown])).toThrow('Setting socket options failed')
    expect(() => ownSockets().prepare(socket, '127.0.0.1', [unknown])).toThrow('Setting socket options failed')
  })

  test('says why it cannot be bound', async () => {
    const other = net.createServer().listen(0, '127.0.0.1')
    open.push(other)
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as net.AddressInfo
    expect(() => ownSockets().bind('127.0.0.1', port, false, [keepAlive])).toThrow('EADDRINUSE')
  })
})

async function serve(
  host: string,
  options: readonly SocketOption[],
): Promise<{ server: net.Server; accepted: Promise<net.Socket> }> {
  const server = net.createServer()
  open.push(server)
  const accepted = new Promise<net.Socket>((resolve) => {
    server.once('connection', (socket) => {
      open.push(socket)
      resolve(socket)
    })
  })
  const listening = new Promise((resolve) => server.once('listening', resolve))
  server.listen({ fd: ownSockets().bind(host, 0, true, options) })
  await listening
  return { server, accepted }
}

function optionOf(socket: net.Socket | net.Server, { level, name }: SocketOption): number {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const getsockopt = koffi.load(null).func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *'])
  const value = Buffer.alloc(4)
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } }
  expect(getsockopt(handle.fd, level, name, value, Uint32Array.of(4))).toBe(0)
  return new Int32Array(value.buffer, value.byteOffset, 1)[0] ?? -1
}
