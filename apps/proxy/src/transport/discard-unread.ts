import type net from 'node:net'
import { readBuffer, threadPoller } from './poller.ts'

/** More of a client that sends without end is not read: it gets its reset. */
const mostReads = 16

/**
 * Reads what has come to an accepted socket that is about to be closed, for nobody: by it alone the kernel would make a reset of the end that
 * the client is to hear.
 */
export function discardUnread(socket: net.Socket): void {
  // Node's own field, with no public way to it.
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null }
  const poller = handle === null || handle.fd < 0 ? null : threadPoller()
  if (poller === null || handle === null) return
  for (let reads = 0; reads < mostReads && poller.receive(handle.fd, readBuffer) > 0; ) reads++
}

/** Closes an accepted socket that nobody has read, by an end. */
export function closeUnread(socket: net.Socket): void {
  discardUnread(socket)
  socket.destroy()
}
