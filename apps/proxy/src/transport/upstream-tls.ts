import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { PeerProblem } from '../plan/peer-trust.ts'
import type { Tlv } from './proxy-protocol.ts'
import { verificationFailed, wrongKeyUsage } from './tls-failure.ts'

/** The PROXY header that endpoints are told first who the client is by. */
export interface ProxyPrelude {
  readonly version: 1 | 2
  /** Whether a TLV of the client's own header goes on. */
  passes(tlv: Tlv): boolean
  /** What is told besides of a client; it goes before what the client's own header says by the same types. */
  added(client: ProxiedClient): readonly Tlv[]
}

/** Whom a connection is for, as a PROXY header tells it. */
export interface ProxiedClient {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tlvs?: readonly Tlv[] | undefined
}

/** What a request has its connection's handshake ask for (auto_sni, auto_san_validation). */
export interface RequestNames {
  /** Empty: what the TLS settings say. */
  readonly sni: string
  /** A name that the endpoint's certificate has to have besides; empty: none. */
  readonly san: string
  /** The application protocols that are offered instead of what the TLS settings name; absent: those. */
  readonly alpn?: readonly string[]
}

/** Security towards a cluster's endpoints, from files or SDS. */
export interface UpstreamTls {
  /** The application protocols it names. */
  readonly alpn: readonly string[]
  /** Hears of the secrets of its handshakes; null: nobody does. */
  readonly keyLog: ((line: Buffer, socket: TLSSocket) => void) | null
  /** What comes before all else on a connection; absent: nothing does. */
  readonly prelude?: ProxyPrelude
  /** Options for `tls.connect`; null: plaintext; 'not-ready' until the secrets have come. `hostname`: the endpoint's; `names`: those that the request asks for. */
  connectOptions(hostname: string, names: RequestNames | null): ConnectionOptions | null | 'not-ready'
  /**
   * What is wrong with the endpoint at the other end of a handshake that was made with those options, and `rejectUnauthorized`
   * off; null: nothing. `tolerated`: it counts, and the connection is used.
   */
  judge(socket: TLSSocket, hostname: string, names: RequestNames | null): { problem: PeerProblem; tolerated: boolean } | null
  /** Keeps a session of a connection whose endpoint was found good, to be resumed by another. */
  remember(session: Buffer, socket: TLSSocket, hostname: string, names: RequestNames | null): void
  close(): void
}

/** Another certificate than the configuration asks for. */
export class PeerNotWanted extends Error {
  constructor({ lacks, text }: PeerProblem) {
    super(lacks === 'usage' ? wrongKeyUsage : verificationFailed(text))
  }
}
