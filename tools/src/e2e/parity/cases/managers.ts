import { accessLog, http, httpFilter, type Message, router } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

/** What connection managers may be told besides their filters and routes. */
const log = accessLog(
  '%ACCESS_LOG_TYPE% %REQ(:METHOD)% %REQ(:PATH)% %REQ(:SCHEME)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% ' +
    'rx=%BYTES_RECEIVED% tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% route=%ROUTE_NAME% ' +
    '%REQ(X-ENVOY-DOWNSTREAM-SERVICE-CLUSTER)% %REQ(X-ENVOY-DOWNSTREAM-SERVICE-NODE)% %REQ(USER-AGENT)% %REQ(X-FILTER)%\n',
)
const node: Message = { node: { id: 'the-node', cluster: 'the-cluster' } }

function manager(more: Message): ParityCase['bootstrap'] {
  return (ports) => http(ports, { manager: { access_log: [log], ...more }, more: node })
}

const websocket = 'GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'
const switching = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello'

function marks(value: string): Message {
  return httpFilter('header_mutation', 'HeaderMutation', {
    mutations: { request_mutations: [{ append: { header: { key: 'x-filter', value } } }] },
  })
}

function upgrades(more: Message): Message[] {
  return [{ upgrade_type: 'websocket', filters: [marks('of the upgrade'), router], ...more }]
}

const atStart = { flush_access_log_on_new_request: true }
const moments = { ...atStart, flush_log_on_tunnel_successfully_established: true }

const cases: ParityCase[] = [
  {
    name: 'log-at-start',
    bootstrap: manager({ access_log_options: atStart }),
    turns: [get('/a'), request('POST', '/b', [], 'x')],
  },
  { name: 'log-at-start-by-the-older-field', bootstrap: manager(atStart), turns: [get('/a')] },
  {
    name: 'log-at-start-by-type',
    bootstrap: manager({
      access_log_options: atStart,
      access_log: [{ ...log, filter: { log_type_filter: { types: ['DownstreamStart'] } } }],
    }),
    turns: [get('/a')],
  },
  { name: 'log-at-start-twice', bootstrap: manager({ ...atStart, access_log_options: {} }), validateOnly: true },
  {
    name: 'log-at-intervals',
    bootstrap: manager({ access_log_options: { access_log_flush_interval: '0.7s' } }),
    origins: { a: { answers: [{ delayMs: 1000 }] } },
    turns: [get('/slow')],
  },
  {
    name: 'log-at-intervals-too-short',
    bootstrap: manager({ access_log_options: { access_log_flush_interval: '0.0001s' } }),
    validateOnly: true,
  },
  {
    name: 'log-of-a-tunnel',
    bootstrap: manager({ access_log_options: moments, upgrade_configs: [{ upgrade_type: 'websocket' }] }),
    origins: { a: { answers: [{ raw: switching, after: 'close' }] } },
    turns: [{ send: [websocket], untilClosed: true }],
  },
  {
    name: 'log-of-a-refused-upgrade',
    bootstrap: manager({ access_log_options: moments }),
    turns: [{ send: [websocket] }],
  },
  {
    name: 'filters-of-an-upgrade',
    bootstrap: (ports) =>
      http(ports, {
        filters: [marks('of all')],
        manager: { access_log: [log], upgrade_configs: upgrades({}) },
      }),
    origins: { a: { answers: [{ raw: switching, after: 'close' }, {}] } },
    turns: [{ send: [websocket], untilClosed: true }, get('/plain')],
  },
  {
    name: 'filters-of-an-upgrade-without-router',
    bootstrap: manager({ upgrade_configs: upgrades({ filters: [marks('alone')] }) }),
    validateOnly: true,
  },
  {
    name: 'metadata-of-the-listener',
    bootstrap: (ports) =>
      http(ports, {
        manager: {
          access_log: [
            accessLog(
              '%METADATA(LISTENER:l:x)% %METADATA(LISTENER_FILTER_CHAIN:c:y)% %METADATA(LISTENER:none)% ' +
                '%CEL(xds.listener_metadata.filter_metadata.l.x)% %CEL(xds.listener_direction)%\n',
            ),
          ],
        },
        listener: { metadata: { filter_metadata: { l: { x: 'of the listener' } } }, traffic_direction: 'OUTBOUND' },
      }),
    turns: [get('/')],
  },
  {
    name: 'user-agent',
    bootstrap: manager({ add_user_agent: true }),
    turns: [get('/a'), get('/b', 'user-agent: its own', 'x-envoy-downstream-service-node: false'), get('/c', 'user-agent: ')],
  },
  {
    name: 'user-agent-at-the-edge',
    bootstrap: manager({ add_user_agent: true, use_remote_address: true }),
    turns: [get('/a', 'x-forwarded-for: 8.8.8.8', 'x-envoy-downstream-service-cluster: false')],
  },
  {
    name: 'scheme-of-the-upstream',
    bootstrap: manager({ scheme_header_transformation: { match_upstream: true } }),
    turns: [get('/a'), get('/b', 'x-forwarded-proto: https')],
  },
]

export const managerCases = group('managers', cases)
