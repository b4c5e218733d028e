import { appendFileSync, closeSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { TlsKeyLog } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { compileRanges, plainAddress } from '../transport/address.ts'
import { invalid } from './problems.ts'

/** Writes a handshake's secrets (a line in the format of NSS) for tools that decrypt what was recorded. */
export type KeyLog = (line: Buffer, socket: Pick<Socket, 'localAddress' | 'remoteAddress'>) => void

/** Compiles `key_log`; throws where the file can't be opened. */
export function compileKeyLog(source: TlsKeyLog, path: string): KeyLog {
  const among = (ranges: TlsKeyLog['localAddressRange'], name: string) => {
    const isIn = compileRanges(ranges, `${path}.${name}`)
    return (address: string | undefined) => ranges.length === 0 || (address !== undefined && isIn(plainAddress(address)))
  }
  const isLocal = among(source.localAddressRange, 'local_address_range')
  const isRemote = among(source.remoteAddressRange, 'remote_address_range')
  try {
    closeSync(openSync(source.path, 'a', 0o600))
  } catch (error) {
    throw invalid(
      `${path}.path`,
      `unable to open file '${source.path}': ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  return (line, socket) => {
    if (!isLocal(socket.localAddress) || !isRemote(socket.remoteAddress)) return
    try {
      appendFileSync(source.path, line)
    } catch {
      // A full disk or a file that is gone is no reason to fail a connection.
    }
  }
}
