import { linkSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectionManager, listener } from '../testing/resources.ts'
import { worker } from '../testing/test-proxy.ts'
import { listenOnPipe, pipeName } from './pipe.ts'

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'weft-pipe-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

function server(): net.Server {
  const one = net.createServer((socket) => socket.on('error', () => {}).end('hello'))
  onTestFinished(() => void one.close())
  return one
}

function read(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect({ path: pipeName(path) })
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece
    })
    socket.on('close', () => resolve(text)).on('error', reject)
  })
}

describe('a Unix socket', () => {
  it('has the permissions it was given', async () => {
    const path = join(folder(), 'one')
    await listenOnPipe(server(), path, 0o620, 16)
    expect(statSync(path).mode & 0o777).toBe(0o620)
    expect(await read(path)).toBe('hello')
  })

  it('may be of the abstract namespace, where no file is', async () => {
    const path = `@weft-test-${process.pid}-${process.hrtime.bigint()}`
    await listenOnPipe(server(), path, 0, 16)
    expect(await read(path)).toBe('hello')
  })

  it('takes the place of one that nobody listens on any more, and of no other', async () => {
    const path = join(folder(), 'one')
    const gone = net.createServer()
    await new Promise<void>((resolve) => gone.listen(`${path}-first`, resolve))
    // A file without a listener, as a killed process leaves it.
    linkSync(`${path}-first`, path)
    await new Promise((resolve) => gone.close(resolve))
    await expect(read(path)).rejects.toThrow('ECONNREFUSED')
    await listenOnPipe(server(), path, 0, 16)
    expect(await read(path)).toBe('hello')
    await expect(listenOnPipe(server(), path, 0, 16)).rejects.toThrow('EADDRINUSE')
    expect(await read(path)).toBe('hello')
  })

  it('without a file has no permissions to be given', async () => {
    const proxy = worker()
    const address = { address: { $case: 'pipe' as const, value: { path: '@x', mode: 0o600 } } }
    const [error] = await proxy.apply(listener('in', [{ filters: [connectionManager([])] }], { address }))
    expect(error?.message).toContain('abstract')
  })
})
