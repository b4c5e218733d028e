import { constants, createHash, hkdfSync, randomBytes } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import type { DownstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { readDataSource } from './data-source.ts'
import { durationMs } from './duration.ts'
import { isJudgedHere } from './peer-trust.ts'
import { invalid, unsupported } from './problems.ts'
import type { TlsMaterial } from './tls-context.ts'

const secretName = 'weft TLS session tickets'
// One secret for all workers: a client that comes back meets any of them.
if (isMainThread && getEnvironmentData(secretName) === undefined) setEnvironmentData(secretName, new Uint8Array(randomBytes(32)))

/** Name, HMAC key and AES key, as Envoy takes them in one file. */
const givenKeyBytes = 80
/** The same as Node takes them. */
const keyBytes = 48

/** How sessions are resumed with this certificate and trust. */
export type SessionTickets = (material: TlsMaterial) => TlsOptions

/**
 * Compiles session resumption. Tickets are good for just what they were made under: another certificate, other authorities, or
 * another chain of the listener make others. Of `session_ticket_keys` the first counts.
 */
export function compileSessionTickets(source: DownstreamTlsContext, path: string): SessionTickets {
  const type = source.sessionTicketKeysType
  const timeout =
    source.sessionTimeout === undefined ? {} : { sessionTimeout: Math.max(1, durationMs(source.sessionTimeout, 0) / 1000) }
  if (type?.$case === 'sessionTicketKeysSdsSecretConfig')
    throw unsupported(`${path}.session_ticket_keys_sds_secret_config`, 'session ticket keys by SDS')
  if (type?.$case === 'disableStatelessSessionResumption' && type.value)
    return () => ({ secureOptions: constants.SSL_OP_NO_TICKET, ...timeout })
  const given =
    type?.$case === 'sessionTicketKeys'
      ? type.value.keys.map((key, i) => readKey(key, `${path}.session_ticket_keys.keys[${i}]`))
      : []
  const [first] = given
  return ({ certificates, validation }) => {
    // A ticket does not hold what a client sent beside its own certificate.
    if (validation !== null && isJudgedHere(validation)) return { secureOptions: constants.SSL_OP_NO_TICKET, ...timeout }
    const context = createHash('sha256').update(path)
    for (const { cert } of certificates) context.update(cert)
    for (const pem of [...(validation?.ca ?? []), ...(validation?.crl ?? [])]) context.update(pem)
    const digest = context.digest()
    const ticketKeys = Buffer.from(hkdfSync('sha256', first ?? processSecret(), Buffer.alloc(0), digest, keyBytes))
    return { ticketKeys, sessionIdContext: digest.toString('hex').slice(0, 32), ...timeout }
  }
}

function readKey(source: Parameters<typeof readDataSource>[0], path: string): Buffer {
  const key = readDataSource(source, path)
  if (key.length !== givenKeyBytes)
    throw invalid(path, `incorrect TLS session ticket key length: ${key.length} bytes, ${givenKeyBytes} are needed`)
  return key
}

function processSecret(): Uint8Array {
  const secret: unknown = getEnvironmentData(secretName)
  return secret instanceof Uint8Array ? secret : ownSecret
}

/** Of a thread that nobody gave one. */
const ownSecret = new Uint8Array(randomBytes(32))
