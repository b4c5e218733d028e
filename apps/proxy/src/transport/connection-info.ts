import type { X509Certificate } from 'node:crypto'
import type { ClientFingerprints } from './client-fingerprint.ts'
import type { Destination } from './socket-calls.ts'

/** A connection that a client made to us, or we to an endpoint. */
export interface ConnectionInfo {
  readonly id: number
  /** The peer, before headers of a request say otherwise. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  /** Of a connection whose local address is where it was going before it was redirected: where it came to. */
  readonly directLocal?: Destination | undefined
  /** The peer by its socket, where a PROXY header says that another connected. */
  readonly directRemote?: Destination | undefined
  readonly tls: TlsInfo | null
  /** SNI as the client sent it. */
  readonly serverName: string
  /** Of a client that speaks TLS, as far as the listener asks for them. */
  readonly fingerprints?: Partial<ClientFingerprints> | undefined
  /** Of an upstream connection: when it was begun, and when its handshakes were done (monotonic ms; -1: not yet). */
  readonly connectStartMs?: number
  readonly connectEndMs?: number
  /** Of a downstream connection by TLS: how long it took from its first packet to the end of its handshake (ms). */
  readonly handshakeMs?: number
  /** Of a downstream connection: who knows how long (ms) a packet takes to the client and back; null: nobody can tell. */
  readonly carrier?: { readonly roundTripMs: number | null } | undefined
  /** Of a downstream connection. */
  readonly listenerName?: string
  readonly listenerDirection?: 'unspecified' | 'inbound' | 'outbound' | undefined
  /** filter_metadata of the listener and of the filter chain that took it. */
  readonly listenerMetadata?: Readonly<Record<string, unknown>> | undefined
  readonly filterChainMetadata?: Readonly<Record<string, unknown>> | undefined
}

/** What TLS says about a connection. */
export interface TlsInfo {
  readonly version: string
  readonly cipher: string
  readonly alpn: string
  readonly serverName: string
  /** The peer's certificate, when it gave one (verified, unless the chain allows otherwise). */
  readonly peer: PeerCertificate | null
  /** URI names of our own certificate. */
  readonly localUris: readonly string[]
  /** Our own certificate, where we showed one, and its subject as RFC 2253 writes it. */
  readonly local?: X509Certificate | undefined
  readonly localSubject?: string
  /** How the keys were agreed on, where that is known: `X25519`. */
  readonly group?: string
  /** Hex, of a session by TLS 1.2; empty: unknown. */
  readonly sessionId?: string
}

export interface PeerCertificate {
  /** RFC 2253. */
  readonly subject: string
  readonly issuer: string
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly serialNumber: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint256: string
  readonly pem: string
  readonly verified: boolean
  readonly validFrom: Date
  readonly validTo: Date
  readonly x509?: X509Certificate
  /** What the peer sent: that, and those beside it; asked as long as its connection stands. */
  readonly chain?: readonly X509Certificate[]
}
