import { constants, createHash, hkdfSync, randomBytes } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import type { DownstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { durationMs } from './duration.ts'
import { isJudgedHere } from './peer-trust.ts'
import type { SecretStore } from './secret-store.ts'
import { readTicketKeys, type TicketKeys } from './ticket-keys.ts'
import type { TlsMaterial } from './tls-context.ts'

const secretName = 'weft TLS session tickets'
// One secret for all workers: a client that comes back meets any of them.
if (isMainThread && getEnvironmentData(secretName) === undefined) setEnvironmentData(secretName, new Uint8Array(randomBytes(32)))

/** Each of a name, an HMAC key and an AES key, as Node takes them. */
const partBytes = 16

/** How sessions are resumed. */
export interface SessionTickets {
  /** The keys as they are now; null while their secret has not come. */
  keys(): TicketKeys | null
  /** The same for a certificate and trust. */
  resumption(material: TlsMaterial, keys: TicketKeys): Resumption
}

export interface Resumption {
  readonly options: TlsOptions
  /** For contexts that are not Node's to call back for: see `ServerTls`. */
  readonly ticketKeys: readonly Buffer[]
  /** Has a context that was made with the options take tickets of further keys. */
  complete(context: unknown): void
}

/**
 * Compiles session resumption. Tickets are good for just what they were made under: another certificate, other authorities, or
 * another chain of the listener make others.
 */
export function compileSessionTickets(source: DownstreamTlsContext, path: string, secrets: SecretStore): SessionTickets {
  const type = source.sessionTicketKeysType
  const timeout =
    source.sessionTimeout === undefined ? {} : { sessionTimeout: Math.max(1, durationMs(source.sessionTimeout, 0) / 1000) }
  const none: Resumption = { options: { secureOptions: constants.SSL_OP_NO_TICKET, ...timeout }, ticketKeys: [], complete() {} }
  const stateless = !(type?.$case === 'disableStatelessSessionResumption' && type.value)
  return {
    keys: compileKeys(type, path, secrets),
    resumption({ certificates, validation }, keys) {
      // A ticket does not hold what a client sent beside its own certificate.
      if (!stateless || (validation !== null && isJudgedHere(validation))) return none
      const context = createHash('sha256').update(path)
      for (const { cert } of certificates) context.update(cert)
      for (const pem of [...(validation?.ca ?? []), ...(validation?.crl ?? [])]) context.update(pem)
      const digest = context.digest()
      const own = keys.map((key) => Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), digest, 3 * partBytes)))
      return {
        options: { ticketKeys: own[0], sessionIdContext: digest.toString('hex').slice(0, 32), ...timeout },
        ticketKeys: own,
        complete: (made) => takeAll(made, own),
      }
    },
  }
}

function compileKeys(
  type: DownstreamTlsContext['sessionTicketKeysType'],
  path: string,
  secrets: SecretStore,
): () => TicketKeys | null {
  if (type?.$case === 'sessionTicketKeysSdsSecretConfig') {
    const { name } = type.value
    return () => {
      const secret = secrets.get(name)
      return secret?.type === 'ticket-keys' ? secret.keys : null
    }
  }
  const given: TicketKeys =
    type?.$case === 'sessionTicketKeys' ? readTicketKeys(type.value, `${path}.session_ticket_keys`) : [processSecret()]
  return () => given
}

/** What of a server's context is used here; Node's own, with no public way to it. */
interface TicketContext {
  enableTicketKeyCallback(): void
  onticketkeycallback: (name: Buffer, iv: Buffer, encrypts: boolean) => [verdict: number, ...parts: Buffer[]]
}

const found = 1
const foundAndRenew = 2
const unknown = 0

/** Node knows one key; of several it has to be told for each ticket. Where that can't be, the first one counts. */
function takeAll(made: unknown, own: readonly Buffer[]): void {
  const [first] = own
  if (first === undefined || own.length < 2 || !hasTicketContext(made)) return
  const part = (key: Buffer, i: number) => key.subarray(i * partBytes, (i + 1) * partBytes)
  made.context.onticketkeycallback = (name, _iv, encrypts) => {
    if (encrypts) return [found, part(first, 1), part(first, 2), part(first, 0), randomBytes(partBytes)]
    const key = own.find((one) => part(one, 0).equals(name))
    // (Node wants keys in any case.)
    return [key === undefined ? unknown : key === first ? found : foundAndRenew, part(key ?? first, 1), part(key ?? first, 2)]
  }
  made.context.enableTicketKeyCallback()
}

function hasTicketContext(value: unknown): value is { context: TicketContext } {
  if (typeof value !== 'object' || value === null || !('context' in value)) return false
  const { context } = value
  return typeof context === 'object' && context !== null && 'enableTicketKeyCallback' in context
}

function processSecret(): Uint8Array {
  const secret: unknown = getEnvironmentData(secretName)
  return secret instanceof Uint8Array ? secret : ownSecret
}

/** Of a thread that nobody gave one. */
const ownSecret = new Uint8Array(randomBytes(32))
