import { createRequire } from 'node:module'
import net from 'node:net'
import type * as Koffi from 'koffi'

/** What a server needs of its handle here; Node's own field, with no public way to it. */
interface WithHandle {
  readonly _handle: { readonly fd: number } | null
}

interface Calls {
  accept(listening: number, address: null, length: null, flags: number): number
  close(fd: number): number
}

/** accept4(2) on Linux: SOCK_NONBLOCK and SOCK_CLOEXEC. */
const flags = 0o4000 | 0o2000000

let calls: Calls | null | undefined

/**
 * Takes up to `most` more of the connections that wait at a TCP server whose 'connection' event this is: Node takes one each round of the
 * event loop, which under load is a few milliseconds, so that the last of a few hundred new clients would wait for a second. Gives
 * sockets that are paused, as those of a server with `pauseOnConnect`. None on other systems than Linux, and without koffi.
 */
export function* acceptOthers(server: net.Server, most: number): Generator<net.Socket> {
  if (calls === undefined) calls = load()
  for (let i = 0; i < most && calls !== null; i++) {
    const { _handle: handle } = server as unknown as WithHandle
    // Whoever took the one before may have closed the server.
    if (handle === null || handle.fd < 0) return
    const fd = calls.accept(handle.fd, null, null, flags)
    // Nobody waits, or there is no descriptor left: that is for Node to find out.
    if (fd < 0) return
    const socket = socketOf(fd)
    if (socket === null) {
      calls.close(fd)
      return
    }
    yield socket
  }
}

function socketOf(fd: number): net.Socket | null {
  // The types know nothing of `pauseOnCreate`.
  const options: net.SocketConstructorOpts & { pauseOnCreate: boolean } = {
    fd,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    pauseOnCreate: true,
  }
  try {
    return new net.Socket(options).setNoDelay(true)
  } catch {
    return null
  }
}

function load(): Calls | null {
  if (process.platform !== 'linux') return null
  try {
    const libc = (createRequire(import.meta.url)('koffi') as typeof Koffi).load(null)
    return {
      accept: libc.func('int accept4(int, void *, void *, int)'),
      close: libc.func('int close(int)'),
    }
  } catch {
    return null
  }
}
