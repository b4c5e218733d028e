import {
  address,
  cluster,
  http,
  listenerFilter,
  type Message,
  networkFilter,
  router,
  tcp,
  tcpLogFormat,
  typed,
} from '../bootstrap.ts'
import { type ClientTurn, get, group, type ParityCase, type Ports, type TlsTurn } from '../case.ts'
import { certificates } from '../certificates.ts'

const inspector = listenerFilter('tls_inspector', 'TlsInspector')

function downstream(common: Message = {}, more: Message = {}): Message {
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
function says(text: string, match?: Message, socket: Message | null = downstream()): Message {
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

const chains =
  (...all: Message[]) =>
  (ports: Ports) =>
    tcp(ports, { chains: all, clusters: [], listener: { listener_filters: [inspector] } })
const by = (tls: TlsTurn, send: string = get('/')): ClientTurn => ({ send: [send], tls, patienceMs: 3000 })
const closes = (tls: TlsTurn): ClientTurn => ({ send: [get('/')], tls, untilClosed: true, patienceMs: 3000 })

const seen =
  '%DOWNSTREAM_TLS_VERSION% sni=%REQUESTED_SERVER_NAME% peer=%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% %RESPONSE_CODE%\n'

/** To cluster `a`, from a client that TLS knows. */
const secure =
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

const trusting = (more: Message = {}): Message => ({
  validation_context: { trusted_ca: { filename: certificates().ca }, ...more },
})
const required: Message = { require_client_certificate: true }
const san = (san_type: string, matcher: Message): Message => ({ match_typed_subject_alt_names: [{ san_type, matcher }] })

/** Everyone who may knock: known, unknown, and without a name. */
const everyone: ClientTurn[] = [by({ certificate: 'client' }), closes({ certificate: 'stranger' }), closes({})]

function mutual(name: string, more: () => Message, context: Message = required, turns = everyone): ParityCase {
  return { name, bootstrap: (ports) => secure(trusting(more()), context)(ports), turns }
}

/** `options`: more of the cluster. */
function upstream(
  name: string,
  context: () => Message,
  turns: (ClientTurn | string)[] = [get('/')],
  options: (ports: Ports) => Message = () => ({}),
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
        log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_TLS_VERSION% %UPSTREAM_PEER_DNS_SAN% %UPSTREAM_SERVER_NAME%\n',
      })
      const { listeners } = whole['static_resources'] as { listeners: Message[] }
      const server = says('server')
      listeners.push({
        name: 'server',
        address: { socket_address: { address: '127.0.0.1', port_value: ports['secure'] ?? 0 } },
        filter_chains: [server],
      })
      return whole
    },
    origins: {},
    turns,
    // Node judges certificates after the handshake, which the server has then counted.
    ignoreStats: /upstream_cx_|http\.server|<secure>\.ssl/,
  }
}

/** The server's name, and what its certificate has to be, by the request's host. */
const byHost = (fields: Message) => (): Message => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
      explicit_http_config: { http_protocol_options: {} },
      upstream_http_protocol_options: fields,
    }),
  },
})
const trusted = () => ({ common_tls_context: trusting() })

const cases: ParityCase[] = [
  {
    name: 'chains-by-name',
    bootstrap: (ports) =>
      chains(
        says('exact', { server_names: ['www.one.test'] }),
        says('wild', { server_names: ['*.one.test'] }),
        says('deep', { server_names: ['*.deep.one.test'] }),
        says('rest'),
      )(ports),
    turns: [
      ...['www.one.test', 'x.one.test', 'x.deep.one.test', 'one.test', 'WWW.One.test', 'two.test'].map((serverName) =>
        by({ serverName }),
      ),
      by({}),
    ],
  },
  {
    name: 'chains-by-protocol',
    bootstrap: (ports) =>
      chains(
        says('custom', { application_protocols: ['istio', 'x'] }),
        says('tls', { transport_protocol: 'tls' }),
        says('raw', { transport_protocol: 'raw_buffer' }, null),
      )(ports),
    turns: [by({ alpn: ['x'] }), by({ alpn: ['y'] }), by({}), get('/')],
  },
  {
    name: 'no-chain',
    bootstrap: (ports) => chains(says('one', { server_names: ['one.test'] }))(ports),
    turns: [by({ serverName: 'one.test' }), closes({ serverName: 'two.test' }), { send: [get('/')], untilClosed: true }],
  },
  {
    name: 'a-default-chain',
    bootstrap: (ports) =>
      tcp(ports, {
        chains: [says('one', { server_names: ['one.test'] })],
        clusters: [],
        listener: { listener_filters: [inspector], default_filter_chain: says('default', undefined, null) },
      }),
    turns: [by({ serverName: 'one.test' }), get('/')],
  },
  {
    name: 'only-1-2',
    bootstrap: (ports) => secure({ tls_params: { tls_maximum_protocol_version: 'TLSv1_2' } })(ports),
    turns: [by({}), closes({ version: 'TLSv1.3' })],
  },
  {
    name: 'only-1-3',
    bootstrap: (ports) => secure({ tls_params: { tls_minimum_protocol_version: 'TLSv1_3' } })(ports),
    turns: [by({}), closes({ version: 'TLSv1.2' })],
  },
  {
    name: 'plaintext-to-tls',
    bootstrap: (ports) => secure({})(ports),
    turns: [{ send: [get('/')], untilClosed: true, patienceMs: 3000 }],
  },
  {
    // Neither does anything about it.
    name: 'a-name-is-needed',
    bootstrap: (ports) => secure({}, { require_sni: true })(ports),
    turns: [by({ serverName: 'one.test' }), by({})],
  },
  {
    name: 'alpn-of-nobody',
    bootstrap: (ports) => secure({ alpn_protocols: ['h2', 'http/1.1'] })(ports),
    turns: [by({ alpn: ['zz'] }), by({ alpn: ['http/1.1'] })],
  },
  mutual('mutual-required', () => ({})),
  mutual('mutual-required-1-2', () => ({}), required, [
    by({ certificate: 'client', version: 'TLSv1.2' }),
    closes({ certificate: 'stranger', version: 'TLSv1.2' }),
    closes({ version: 'TLSv1.2' }),
  ]),
  mutual('mutual-optional', () => ({}), {}, [by({ certificate: 'client' }), by({}), closes({ certificate: 'stranger' })]),
  mutual('mutual-uri-prefix', () => san('URI', { prefix: 'spiffe://test/' })),
  mutual('mutual-uri-regex', () => san('URI', { safe_regex: { regex: 'spiffe://test/ns/.*/sa/client' } })),
  mutual('mutual-dns-exact', () => san('DNS', { exact: 'client.test' })),
  mutual('mutual-wrong-name', () => san('DNS', { exact: 'other.test' }), required, [closes({ certificate: 'client' })]),
  mutual('mutual-wrong-pin', () => ({ verify_certificate_spki: [`${'A'.repeat(43)}=`] }), required, [
    closes({ certificate: 'client' }),
  ]),
  mutual('mutual-wrong-hash', () => ({ verify_certificate_hash: ['0'.repeat(64)] }), required, [
    closes({ certificate: 'client' }),
  ]),
  mutual('mutual-anyone', () => ({ trust_chain_verification: 'ACCEPT_UNTRUSTED' }), required, [
    by({ certificate: 'client' }),
    by({ certificate: 'stranger' }),
    closes({}),
  ]),
  ...['SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY'].map(
    (mode): ParityCase => ({
      name: `forwarded-certificate-${mode.toLowerCase().replaceAll('_', '-')}`,
      bootstrap: (ports) =>
        secure(
          trusting(),
          {},
          { forward_client_cert_details: mode, set_current_client_cert_details: { subject: true, uri: true, dns: true } },
        )(ports),
      turns: [
        by({ certificate: 'client' }),
        by({ certificate: 'client' }, get('/', 'x-forwarded-client-cert: By=spiffe://old;Hash=ab')),
        by({}, get('/', 'x-forwarded-client-cert: By=spiffe://old;Hash=ab')),
      ],
    }),
  ),
  {
    name: 'tcp-inside',
    bootstrap: (ports) => tcp(ports, { chain: { transport_socket: downstream() }, listener: { listener_filters: [inspector] } }),
    turns: [by({ serverName: 'one.test' })],
  },
  {
    name: 'cluster-by-name',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [networkFilter('sni_cluster', 'SniCluster')],
        chain: { transport_socket: downstream() },
        listener: { listener_filters: [inspector] },
        clusters: [cluster('a', [1]), cluster('one.test', [ports['a'] ?? 1])],
        log: tcpLogFormat,
      }),
    turns: [by({ serverName: 'one.test' }), closes({ serverName: 'two.test' })],
    ignoreStats: /cluster\./,
  },
  upstream('upstream-verified', () => ({
    sni: 'a.test',
    common_tls_context: {
      validation_context: { trusted_ca: { filename: certificates().ca }, ...san('DNS', { exact: 'a.test' }) },
    },
  })),
  upstream('upstream-wrong-name', () => ({
    common_tls_context: {
      validation_context: { trusted_ca: { filename: certificates().ca }, ...san('DNS', { exact: 'b.test' }) },
    },
  })),
  upstream('upstream-untrusted', () => ({
    common_tls_context: { validation_context: { trusted_ca: { filename: certificates().stranger.cert } } },
  })),
  upstream(
    'upstream-named-by-the-host',
    trusted,
    [get('/'), get('/', 'host: a.test:80'), get('/', 'host: b.test'), get('/', 'host: 10.0.0.1'), get('/', 'host: localhost')],
    byHost({ auto_sni: true }),
  ),
  upstream(
    'upstream-verified-by-the-host',
    trusted,
    [get('/'), get('/', 'host: b.test'), get('/', 'host: localhost')],
    byHost({ auto_sni: true, auto_san_validation: true }),
  ),
  upstream(
    'upstream-named-by-a-header',
    trusted,
    [get('/', 'x-name: other.test'), get('/')],
    byHost({ auto_sni: true, override_auto_sni_header: 'x-name' }),
  ),
  ...['a.test', 'b.test'].map((hostname) =>
    upstream(
      `upstream-named-by-the-endpoint-${hostname.replace('.', '-')}`,
      () => ({ ...trusted(), auto_host_sni: true, auto_sni_san_validation: true }),
      [get('/')],
      (ports) => ({
        load_assignment: {
          cluster_name: 'a',
          endpoints: [{ lb_endpoints: [{ endpoint: { hostname, address: address(ports['secure'] ?? 1) } }] }],
        },
      }),
    ),
  ),
  upstream('upstream-1-3', () => ({ common_tls_context: { tls_params: { tls_maximum_protocol_version: 'TLSv1_3' } } })),
]

/** Envoy counts a connection of an HTTP connection manager from before its handshake, ours when that is done. */
const handshakesThatFail = /http\.ingress\.downstream_cx_total/

export const tlsCases = group(
  'tls',
  cases.map((one) => ({ ignoreStats: handshakesThatFail, ...one })),
)
