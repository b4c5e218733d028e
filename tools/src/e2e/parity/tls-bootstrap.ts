import { cluster, http, listenerFilter, type Message, router, tcp, typed } from './bootstrap.ts'
import { type ClientTurn, get, type ParityCase, type Ports, type TlsTurn } from './case.ts'
import { certificates } from './certificates.ts'

export const inspector = listenerFilter('tls_inspector', 'TlsInspector')

export function downstream(common: Message = {}, more: Message = {}): Message {
  const { server } = certificates()
  const pair = { certificate_chain: { filename: server.cert }, private_key: { filename: server.key } }
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: typed('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
      common_tls_context: { tls_certificates: [pair], ...common },
      ...more,
    }),
  }
}

/** A chain that says its name. */
export function says(text: string, match?: Message, socket: Message | null = downstream()): Message {
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: text,
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: text } } }],
        },
      ],
    },
    http_filters: [router],
  })
  return {
    name: text,
    filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
    ...(match === undefined ? {} : { filter_chain_match: match }),
    ...(socket === null ? {} : { transport_socket: socket }),
  }
}

export const chains =
  (...all: Message[]) =>
  (ports: Ports) =>
    tcp(ports, { chains: all, clusters: [], listener: { listener_filters: [inspector] } })
export const by = (tls: TlsTurn, send: string = get('/')): ClientTurn => ({ send: [send], tls, patienceMs: 3000 })
export const closes = (tls: TlsTurn): ClientTurn => ({ send: [get('/')], tls, untilClosed: true, patienceMs: 3000 })

const seen =
  '%DOWNSTREAM_TLS_VERSION% sni=%REQUESTED_SERVER_NAME% peer=%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% %RESPONSE_CODE%\n'

/** To cluster `a`, from a client that TLS knows. */
export const secure =
  (common: Message, more: Message = {}, manager: Message = {}) =>
  (ports: Ports) => {
    const whole = http(ports, { log: seen, manager })
    const [listener] = (whole['static_resources'] as { listeners: Message[] }).listeners
    const [chain] = (listener as { filter_chains: Message[] }).filter_chains
    if (listener !== undefined && chain !== undefined) {
      chain['transport_socket'] = downstream(common, more)
      listener['listener_filters'] = [inspector]
    }
    return whole
  }

export const trusting = (more: Message = {}): Message => ({
  validation_context: { trusted_ca: { filename: certificates().ca }, ...more },
})
export const required: Message = { require_client_certificate: true }
/** A name that a certificate has to have: one of those given, each by its kind. */
export const san = (san_type: string, matcher: Message, ...more: Message[]): Message => ({
  match_typed_subject_alt_names: [{ san_type, matcher }, ...more],
})

/** Everyone who may knock: known, unknown, and without a name. */
const everyone: ClientTurn[] = [by({ certificate: 'client' }), closes({ certificate: 'stranger' }), closes({})]

export function mutual(name: string, more: () => Message, context: Message = required, turns = everyone): ParityCase {
  return { name, bootstrap: (ports) => secure(trusting(more()), context)(ports), turns }
}

/** `options`: more of the cluster. `server`: the endpoint's transport socket; null: it speaks plaintext. */
export function upstream(
  name: string,
  context: () => Message,
  turns: (ClientTurn | string)[] = [get('/')],
  options: (ports: Ports) => Message = () => ({}),
  server: () => Message | null = downstream,
): ParityCase {
  return {
    name,
    // Its own listener with TLS is the server.
    ports: ['secure'],
    bootstrap: (ports) => {
      const socket = {
        name: 'envoy.transport_sockets.tls',
        typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', context()),
      }
      const whole = http(ports, {
        clusters: [cluster('a', [ports['secure'] ?? 1], { transport_socket: socket, ...options(ports) })],
        log:
          '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TLS_VERSION% %UPSTREAM_PEER_DNS_SAN% ' +
          '%UPSTREAM_SERVER_NAME% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n',
      })
      const { listeners } = whole['static_resources'] as { listeners: Message[] }
      listeners.push({
        name: 'server',
        address: { socket_address: { address: '127.0.0.1', port_value: ports['secure'] ?? 0 } },
        filter_chains: [says('server', undefined, server())],
      })
      return whole
    },
    origins: {},
    turns,
    // Node judges certificates after the handshake, which the server has then counted.
    ignoreStats: /<secure>\.ssl/,
  }
}

/** The server's name, and what its certificate has to be, by the request's host. */
export const byHost = (fields: Message) => (): Message => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
      explicit_http_config: { http_protocol_options: {} },
      upstream_http_protocol_options: fields,
    }),
  },
})
export const trusted = () => ({ common_tls_context: trusting() })
