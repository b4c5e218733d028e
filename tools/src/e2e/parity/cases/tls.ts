import { address, cluster, type Message, networkFilter, tcp, tcpLogFormat } from '../bootstrap.ts'
import { get, group, type ParityCase } from '../case.ts'
import { certificates } from '../certificates.ts'
import {
  by,
  byHost,
  chains,
  closes,
  downstream,
  inspector,
  mutual,
  required,
  san,
  says,
  secure,
  trusted,
  trusting,
  upstream,
} from '../tls-bootstrap.ts'

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
  ...Object.entries<() => Message | null>({
    plaintext: () => null,
    'of-another-version': () => downstream({ tls_params: { tls_minimum_protocol_version: 'TLSv1_3' } }),
    'of-other-ciphers': () =>
      downstream({ tls_params: { tls_maximum_protocol_version: 'TLSv1_2', cipher_suites: ['ECDHE-RSA-AES128-GCM-SHA256'] } }),
  }).map(([which, server]) => upstream(`upstream-${which}`, trusted, [get('/')], undefined, server)),
]

export const tlsCases = group('tls', cases)
