import { chmodSync, rmSync } from 'node:fs'
import net from 'node:net'

/** A Unix socket as Node is told of it: Envoy writes one of the abstract namespace, which is no file, with `@`. */
export function pipeName(path: string): string {
  return path.startsWith('@') ? `\0${path.slice(1)}` : path
}

/**
 * Has a server listen on a Unix socket. A file that a process which is gone has left behind is replaced. `mode`: its
 * permissions; 0: those that the process makes files with.
 */
export async function listenOnPipe(server: net.Server, path: string, mode: number, backlog: number): Promise<void> {
  try {
    await listen(server, path, backlog)
  } catch (error) {
    if (!isInUse(error) || (await answers(path))) throw error
    rmSync(path, { force: true })
    await listen(server, path, backlog)
  }
  if (mode !== 0) chmodSync(path, mode)
}

function listen(server: net.Server, path: string, backlog: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path: pipeName(path), backlog }, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}

/** Whether somebody listens there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: pipeName(path) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
}
