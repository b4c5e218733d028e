import { randomUUID } from 'node:crypto'
import { MutableBag } from '@weft/attributes/bag'
import { plainAttributes } from '@weft/attributes/decoding'
import { TcpClientConfig } from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import { durationMs } from '../../../plan/duration.ts'
import { invalid } from '../../../plan/problems.ts'
import { compileTransport } from '../../http/mixer/config.ts'
import { mixerCounters } from '../../http/mixer/counters.ts'
import { openMixer } from '../../http/mixer/open-mixer.ts'
import { compileQuotaRules } from '../../http/mixer/quota-rules.ts'
import type { NetworkGateKind } from '../filter.ts'
import { MixerConnection } from './connection.ts'

const DEFAULT_REPORT_INTERVAL_MS = 10_000
const MIN_REPORT_INTERVAL_MS = 1000

/**
 * `mixer` for TCP: asks Mixer whether a connection may be made (Check, with quotas) before anything of it goes on, and
 * reports it when it opens, at intervals and when it closes, as the sidecar of Istio 1.0 did.
 */
export const networkMixer: NetworkGateKind = {
  types: ['istio.mixer.v1.config.client.TcpClientConfig'],
  compile(config, path, { stats, services }) {
    const source = TcpClientConfig.decode(config)
    const transport = compileTransport(source.transport)
    const quotas = compileQuotaRules(
      source.connectionQuotaSpec === undefined ? [] : [source.connectionQuotaSpec],
      (at, message) => {
        throw invalid(`${path}.connection_quota_spec${at.replace(/^\[0\]/, '')}`, message)
      },
    )
    if (services === null) return { start: () => null }
    const { client, batch } = openMixer(
      transport,
      services,
      mixerCounters('tcp_mixer_filter', (name) => stats.counter(name)),
    )
    const parts = {
      client: source.disableCheckCalls ? null : client,
      batch: source.disableReportCalls ? null : batch,
      quotas,
      failPolicy: transport.failPolicy,
      base: new MutableBag(undefined, plainAttributes(source.mixerAttributes)),
      idPrefix: `${randomUUID()}-`,
      reportIntervalMs: Math.max(MIN_REPORT_INTERVAL_MS, durationMs(source.reportInterval, DEFAULT_REPORT_INTERVAL_MS)),
    }
    return {
      start: (connection) => (parts.client === null && parts.batch === null ? null : new MixerConnection(connection, parts)),
      close: () => batch?.flush(),
    }
  },
}
