import { Config } from '@weft/contracts/envoy/extensions/filters/network/direct_response/v3/config'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { readDataSource } from '../../../plan/data-source.ts'
import type { ConnectionHandler } from '../../../transport/connection.ts'
import type { NetworkFilterKind, NetworkSession } from '../filter.ts'

/** `envoy.filters.network.direct_response`: says one thing to each client, and closes. */
export const networkDirectResponse: NetworkFilterKind = {
  types: ['envoy.extensions.filters.network.direct_response.v3.Config'],
  compile(config, path) {
    const { response } = Config.decode(config)
    const text = response === undefined ? Buffer.alloc(0) : readDataSource(response, `${path}.response`)
    return {
      alpn: null,
      accept(connection, info, _services, onGone) {
        const session: NetworkSession & ConnectionHandler = {
          onBytes() {},
          onEnd() {},
          onWritable() {},
          onClose: () => onGone(session),
          drain() {},
          noted() {
            const record = new StreamRecord()
            record.responseCodeDetails = 'direct_response'
            record.bytesSent = connection.bytesWritten
            return record
          },
          destroy: () => connection.destroy(),
        }
        connection.handler = session
        if (info.refusal !== undefined) {
          connection.destroy()
          return session
        }
        if (text.length > 0) connection.write(text, 0, text.length)
        connection.closeAfterWrite()
        return session
      },
    }
  },
}
