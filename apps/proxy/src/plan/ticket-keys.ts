import type { TlsSessionTicketKeys } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { readDataSource } from './data-source.ts'
import { invalid } from './problems.ts'

/** The keys of session tickets: made with the first, and taken by all. */
export type TicketKeys = readonly Uint8Array[]

/** A name, an HMAC key and an AES key, as Envoy takes them in one file. */
const givenKeyBytes = 80

/** Reads keys of 80 bytes; throws where one is of another length. */
export function readTicketKeys(source: TlsSessionTicketKeys, path: string): TicketKeys {
  return source.keys.map((one, i) => {
    const key = readDataSource(one, `${path}.keys[${i}]`)
    if (key.length !== givenKeyBytes)
      throw invalid(
        `${path}.keys[${i}]`,
        `incorrect TLS session ticket key length: ${key.length} bytes, ${givenKeyBytes} are needed`,
      )
    return key
  })
}
