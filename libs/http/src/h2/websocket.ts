import { headerName, names } from '../header-name.ts'
import type { HeaderTable } from '../header-table.ts'
import type { RequestHead } from '../message.ts'

// Loaded when the first WebSocket comes.
const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto')

const webSocketKey = headerName('sec-websocket-key')
const webSocketVersion = headerName('sec-websocket-version')
const webSocketAccept = headerName('sec-websocket-accept')
/** RFC 6455 section 1.3. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * An extended CONNECT (RFC 8441) becomes the upgrade that it stands for, so that whoever takes requests knows one form: GET
 * with Upgrade and Connection. WebSocket over HTTP/2 needs no key; HTTP/1.1 servers want one. True: one was made up.
 */
export function toUpgrade(head: RequestHead, protocol: string): boolean {
  const { headers } = head
  head.method = 'GET'
  headers.append(names.upgrade, protocol)
  headers.append(names.connection, 'upgrade')
  // Every client that follows the RFC names the version.
  if (protocol !== 'websocket' || !headers.has(webSocketVersion) || headers.has(webSocketKey)) return false
  headers.append(webSocketKey, crypto().randomBytes(16).toString('base64'))
  return true
}

/** The key of an upgrade to WebSocket; '' when there is none. It is sent on: behind the next hop may be HTTP/1.1 again. */
export function keyOf(headers: HeaderTable): string {
  return headers.get(webSocketKey) ?? ''
}

export function dropAccept(headers: HeaderTable): void {
  headers.remove(webSocketAccept)
}

/** A 2xx to an extended CONNECT, as the 101 that the client of the upgrade waits for. */
export function toSwitching(headers: HeaderTable, protocol: string, key: string): void {
  headers.set(names.upgrade, protocol)
  headers.set(names.connection, 'upgrade')
  headers.remove(names.contentLength)
  if (key === '' || headers.has(webSocketAccept)) return
  const accept = crypto()
    .createHash('sha1')
    .update(key + acceptSuffix)
  headers.set(webSocketAccept, accept.digest('base64'))
}
