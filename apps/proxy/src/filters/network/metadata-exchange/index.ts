import { MetadataExchange } from '@weft/contracts/istio/filters/metadata_exchange'
import {
  compilePeerExchange,
  ExchangeCounters,
  introduction,
  type PeerExchange,
  readIntroduction,
} from '../../istio/peer-exchange.ts'
import { noPeerKey, peerKeys } from '../../istio/workload-metadata.ts'
import type { GateConnection, GateVerdict, NetworkGate, NetworkGateKind } from '../filter.ts'

/**
 * `istio.metadata_exchange` for TCP: on connections whose handshake agreed on it, tells the client's sidecar which workload this is,
 * and notes which the client is (filter state `downstream_peer`).
 */
export const metadataExchange: NetworkGateKind = {
  types: ['envoy.tcp.metadataexchange.config.MetadataExchange'],
  compile(config, _path, { stats, services }) {
    const exchange = compilePeerExchange(MetadataExchange.decode(config))
    const counters = new ExchangeCounters(stats)
    const own = services === null ? Buffer.alloc(0) : introduction(services.node, exchange)
    return { start: (connection) => new ExchangeGate(connection, exchange, own, counters) }
  },
}

class ExchangeGate implements NetworkGate {
  private readonly connection: GateConnection
  private readonly exchange: PeerExchange
  private readonly own: Buffer
  private readonly counters: ExchangeCounters
  private state: 'new' | 'reading' | 'done' = 'new'

  constructor(connection: GateConnection, exchange: PeerExchange, own: Buffer, counters: ExchangeCounters) {
    this.connection = connection
    this.exchange = exchange
    this.own = own
    this.counters = counters
  }

  onData(): GateVerdict {
    this.begin()
    if (this.state === 'done') return 'continue'
    const { connection, counters } = this
    const found = readIntroduction(connection.peek(), this.exchange)
    if (found === 'more' && !connection.ended) return 'more'
    this.state = 'done'
    if (typeof found === 'string') {
      counters.noIntroduction.inc()
      this.note(null)
      return 'continue'
    }
    if (found.peer === null) counters.noMetadata.inc()
    connection.consume(found.bytes)
    this.note(found.peer)
    return 'continue'
  }

  onFirstWrite(): 'continue' {
    this.begin()
    return 'continue'
  }

  /** Looks at what the handshake agreed on, and sends the introduction. */
  private begin(): void {
    if (this.state !== 'new') return
    const { connection, exchange, own, counters } = this
    if (connection.info.tls?.alpn !== exchange.protocol) {
      this.state = 'done'
      counters.notSpoken.inc()
      this.note(null)
      return
    }
    this.state = 'reading'
    counters.spoken.inc()
    counters.told.inc()
    connection.connection.write(own, 0, own.length)
  }

  private note(peer: object | null): void {
    const { filterState } = this.connection.info
    if (peer === null) filterState?.set(noPeerKey, true)
    else for (const key of peerKeys.downstream) filterState?.set(key, peer)
  }
}
