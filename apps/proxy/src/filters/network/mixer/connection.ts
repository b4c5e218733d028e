import type { MutableBag } from '@weft/attributes/bag'
import { nextConnectionId } from '../../../transport/connection-id.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import { checkedBag, type FailPolicy, type MixerClient } from '../../http/mixer/mixer-client.ts'
import { isMutualTls, localPrincipal, peerPrincipal } from '../../http/mixer/principals.ts'
import type { QuotaRules } from '../../http/mixer/quota-rules.ts'
import type { ReportBatch } from '../../http/mixer/report-batch.ts'
import type { CheckFacts } from '../../http/mixer/response-attributes.ts'
import { verdictDetails } from '../../http/mixer/verdict.ts'
import type { GateConnection, GateVerdict, NetworkGate } from '../filter.ts'
import { connectionAttributes, progressAttributes } from './connection-attributes.ts'

/** What all connections of a compiled filter share. */
export interface MixerConnectionParts {
  /** null: nothing is asked. */
  readonly client: MixerClient | null
  /** null: nothing is reported. */
  readonly batch: ReportBatch | null
  readonly quotas: QuotaRules
  readonly failPolicy: FailPolicy
  /** The attributes that configuration gives. */
  readonly base: MutableBag
  readonly idPrefix: string
  readonly reportIntervalMs: number
}

/** The filter's part in one connection. */
export class MixerConnection implements NetworkGate {
  readonly #connection: GateConnection
  readonly #parts: MixerConnectionParts
  readonly #startMs = performance.now()
  readonly #reportTimer: Timeout
  /** null: the connection has not come here yet, or a filter before this one refused it. */
  #bag: MutableBag | null = null
  #check: CheckFacts | null = null
  #abort: AbortController | null = null
  #closed = false
  #reportedReceived = 0
  #reportedSent = 0

  constructor(connection: GateConnection, parts: MixerConnectionParts) {
    this.#connection = connection
    this.#parts = parts
    this.#reportTimer = new Timeout(() => {
      this.#report('continue')
      this.#armReport()
    })
  }

  onConnect(): GateVerdict {
    const { client, base, quotas, failPolicy, idPrefix } = this.#parts
    const { info } = this.#connection
    const bag = connectionAttributes(
      {
        id: `${idPrefix}${nextConnectionId()}`,
        remoteAddress: info.remoteAddress,
        isMutualTls: isMutualTls(info.tls),
        requestedServerName: info.serverName,
        peerPrincipal: peerPrincipal(info.tls),
        localPrincipal: localPrincipal(info.tls),
        timeMs: Date.now(),
      },
      base,
    )
    this.#bag = bag
    if (client === null) return this.#act(null)
    const known = client.check(checkedBag(bag), quotas(bag), failPolicy, () => {
      this.#abort = new AbortController()
      return this.#abort.signal
    })
    if (!(known instanceof Promise)) return this.#act(known)
    void known.then((check) => {
      this.#abort = null
      if (this.#closed) return
      const verdict = this.#act(check)
      if (verdict === 'continue') this.#connection.proceed()
      else this.#connection.refuse(verdict)
    })
    return 'stop'
  }

  onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#abort?.abort()
    this.#connection.services.timers.cancel(this.#reportTimer)
    this.#report('close')
  }

  /** What a verdict makes of the connection; one that may be made is reported as open. `check`: null when none was asked for. */
  #act(check: CheckFacts | null) {
    this.#check = check
    if (check !== null && check.verdict.code !== 0) {
      const details = verdictDetails(check.verdict)
      return { details, flag: 'UAEX', codeDetails: details }
    }
    this.#report('open')
    this.#armReport()
    return 'continue' as const
  }

  #armReport(): void {
    const { batch, reportIntervalMs } = this.#parts
    if (batch !== null) this.#connection.services.timers.arm(this.#reportTimer, reportIntervalMs)
  }

  #report(event: 'open' | 'continue' | 'close'): void {
    const { batch } = this.#parts
    const bag = this.#bag
    if (batch === null || bag === null) return
    const { info, connection } = this.#connection
    const { bytesRead, bytesWritten } = connection
    batch.add(
      progressAttributes(
        bag,
        {
          event,
          timeMs: Date.now(),
          receivedBytes: bytesRead - this.#reportedReceived,
          receivedBytesTotal: bytesRead,
          sentBytes: bytesWritten - this.#reportedSent,
          sentBytesTotal: bytesWritten,
          durationMs: performance.now() - this.#startMs,
          localAddress: info.localAddress,
          localPort: info.localPort,
        },
        this.#check,
      ),
    )
    this.#reportedReceived = bytesRead
    this.#reportedSent = bytesWritten
  }
}
