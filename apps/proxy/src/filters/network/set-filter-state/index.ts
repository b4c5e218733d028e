import { Config } from '@weft/contracts/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state'
import { ConnectionRecord } from '../../../observe/connection-record.ts'
import type { FormatContext } from '../../../observe/format/context.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { compileFilterStateValues, type SetFilterState } from '../../filter-state-values.ts'
import type { AcceptedInfo, NetworkGateKind } from '../filter.ts'

/** `envoy.filters.network.set_filter_state`: objects for other filters, from formats over the connection. */
export const networkSetFilterState: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.set_filter_state.v3.Config'],
  compile(bytes, path) {
    const { onNewConnection, onDownstreamTlsHandshake, onDownstreamData } = Config.decode(bytes)
    const atOnce = compileFilterStateValues(onNewConnection, `${path}.on_new_connection`)
    const secured = compileFilterStateValues(onDownstreamTlsHandshake, `${path}.on_downstream_tls_handshake`)
    const later = compileFilterStateValues(onDownstreamData, `${path}.on_downstream_data`)
    return {
      start({ info }) {
        const set = (values: SetFilterState, known: AcceptedInfo) => {
          if (info.filterState !== undefined) values(formatOf(known), info.filterState)
        }
        return {
          onConnect() {
            // As if the handshake, which is over, came after it; without TLS there is none to wait for.
            set(atOnce, { ...info, tls: null })
            set(secured, info)
            return 'continue'
          },
          ...(onDownstreamData.length === 0
            ? {}
            : {
                onData() {
                  set(later, info)
                  return 'continue'
                },
              }),
        }
      },
    }
  },
}

function formatOf(info: AcceptedInfo): FormatContext {
  const record = new StreamRecord()
  record.startMs = performance.now()
  record.downstreamRemoteAddress = info.remoteAddress
  record.downstreamRemotePort = info.remotePort
  return new ConnectionRecord({ ...info, id: 0 }, record, info.metadata, info.filterState)
}
