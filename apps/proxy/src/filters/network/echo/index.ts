import type { ConnectionHandler } from '../../../transport/connection.ts'
import type { NetworkFilterKind, NetworkSession } from '../filter.ts'

/** `envoy.filters.network.echo`: what a client sends comes back. */
export const echo: NetworkFilterKind = {
  types: ['envoy.extensions.filters.network.echo.v3.Echo'],
  compile: () => ({
    alpn: null,
    accept(connection, info, _services, onGone) {
      const session: NetworkSession & ConnectionHandler = {
        onBytes(bytes, start, end) {
          if (!connection.write(bytes, start, end)) connection.pause()
        },
        onEnd: () => connection.closeAfterWrite(),
        onWritable: () => connection.resume(),
        onClose: () => onGone(session),
        drain() {},
        destroy: () => connection.destroy(),
      }
      connection.handler = session
      if (info.refusal !== undefined) connection.destroy()
      return session
    },
  }),
}
