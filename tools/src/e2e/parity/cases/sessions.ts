import { cluster, http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase } from '../case.ts'

/** A filter that keeps requests of one session at one endpoint. */
function sessions(kind: 'cookie' | 'header', state: Message, more: Message = {}): Message {
  const message = kind === 'cookie' ? 'CookieBasedSessionState' : 'HeaderBasedSessionState'
  const session_state = {
    name: `envoy.http.stateful_session.${kind}`,
    typed_config: typed(`envoy.extensions.http.stateful_session.${kind}.v3.${message}`, state),
  }
  return httpFilter('stateful_session', 'StatefulSession', { session_state, stat_prefix: 's', ...more })
}

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64')
/** What a cookie holds for an address: field 1 of a message. */
const inCookie = (address: string): string => base64(`\x0a${String.fromCharCode(address.length)}${address}`)

/** A message as a cookie holds it: an address, and when it expires (s), where it does. */
const expiring = (address: string, seconds: number): string => {
  const bytes = [0x0a, address.length, ...Buffer.from(address), 0x10]
  for (let rest = seconds; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]).toString('base64')
    bytes.push((rest % 128) | 128)
  }
}

/** Puts these cookies into requests, by the path's beginning. */
function cookiesByPath(cookies: Readonly<Record<string, string>>): Message[] {
  return Object.entries(cookies).map(([path, cookie]) => ({
    match: { prefix: path },
    route: { cluster: 'a' },
    typed_per_filter_config: {
      'envoy.filters.http.header_mutation': typed('envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute', {
        mutations: { request_mutations: [{ append: { header: { key: 'cookie', value: `at=${cookie}` } } }] },
      }),
    },
  }))
}

const cases: ParityCase[] = [
  {
    name: 'cookie-forms',
    bootstrap: (ports) => {
      const to = `127.0.0.1:${ports['a']}`
      return http(ports, {
        filters: [httpFilter('header_mutation', 'HeaderMutation'), sessions('cookie', { cookie: { name: 'at', ttl: '60s' } })],
        routes: cookiesByPath({
          '/without-end': inCookie(to),
          '/plain': base64(to),
          '/long-past': expiring(to, 1000),
          '/far-off': expiring(to, 4_000_000_000),
          '/unknown-field': Buffer.concat([Buffer.from(inCookie(to), 'base64'), Buffer.from([0x1a, 1, 65])]).toString('base64'),
          '/broken': Buffer.concat([Buffer.from(inCookie(to), 'base64'), Buffer.from([0x1a, 9])]).toString('base64'),
          '/unpadded': inCookie(to).replace(/=+$/, ''),
          '/no-address': expiring('', 4_000_000_000),
        }),
      })
    },
    turns: ['/without-end', '/plain', '/long-past', '/far-off', '/unknown-field', '/broken', '/unpadded', '/no-address'].map(
      (path) => get(path),
    ),
  },
  {
    name: 'cookie-made',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          sessions('cookie', {
            cookie: { name: 'at', path: '/p', attributes: [{ name: 'SameSite', value: 'Strict' }, { name: 'Secure' }] },
          }),
        ],
      }),
    turns: [get('/p'), get('/p/x', 'cookie: at=bm9uZQ=='), get('/px'), get('/p?x', 'cookie: at=""'), get('/')],
  },
  {
    name: 'cookie-with-ttl',
    bootstrap: (ports) => http(ports, { filters: [sessions('cookie', { cookie: { name: 'at', ttl: '120s', path: '/' } })] }),
    turns: [get('/')],
  },
  {
    name: 'header-of-nobody',
    bootstrap: (ports) => http(ports, { filters: [sessions('header', { name: 'x-at' })] }),
    turns: [
      get('/'),
      get('/', `x-at: ${base64('127.0.0.1:1')}`),
      get('/', 'x-at: %%%'),
      get('/', 'x-at:'),
      get('/', `x-at: ${base64('127.0.0.1:1')}`, `x-at: ${base64('127.0.0.1:2')}`),
    ],
  },
  {
    name: 'strict',
    bootstrap: (ports) => http(ports, { filters: [sessions('header', { name: 'x-at' }, { strict: true })] }),
    turns: [get('/'), get('/', `x-at: ${base64('127.0.0.1:1')}`), get('/', 'x-at: %%%')],
  },
  {
    name: 'strict-with-status',
    bootstrap: (ports) =>
      http(ports, {
        filters: [sessions('header', { name: 'x-at' }, { strict: true, status_on_strict_destination_not_found: 410 })],
      }),
    turns: [get('/', `x-at: ${base64('127.0.0.1:1')}`)],
  },
  {
    name: 'known-endpoints',
    origins: { a: {}, b: {} },
    ports: [],
    bootstrap: (ports) => {
      const to = `127.0.0.1:${ports['b']}`
      return http(ports, {
        clusters: [cluster('a', [ports['a'] ?? 1, ports['b'] ?? 1])],
        filters: [
          httpFilter('header_mutation', 'HeaderMutation', {
            mutations: {
              request_mutations: [
                { append: { header: { key: 'x-at', value: base64(to) }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } },
                { append: { header: { key: 'cookie', value: `at="${inCookie(to)}"` } } },
              ],
            },
          }),
          sessions('header', { name: 'x-at' }),
        ],
        routes: [
          {
            match: { prefix: '/cookie' },
            route: { cluster: 'a' },
            typed_per_filter_config: {
              'envoy.filters.http.stateful_session': typed(
                'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute',
                {
                  stateful_session: {
                    session_state: {
                      name: 'envoy.http.stateful_session.cookie',
                      typed_config: typed('envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState', {
                        cookie: { name: 'at' },
                      }),
                    },
                  },
                },
              ),
            },
          },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
      })
    },
    turns: [get('/1'), get('/2'), get('/3'), get('/4'), get('/cookie/1'), get('/cookie/2'), get('/cookie/3')],
  },
  {
    name: 'off-on-a-route',
    bootstrap: (ports) =>
      http(ports, {
        filters: [sessions('header', { name: 'x-at' })],
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a' },
            typed_per_filter_config: {
              'envoy.filters.http.stateful_session': typed(
                'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute',
                { disabled: true },
              ),
            },
          },
        ],
      }),
    turns: [get('/')],
  },
  {
    name: 'without-a-state',
    bootstrap: (ports) => http(ports, { filters: [httpFilter('stateful_session', 'StatefulSession', { stat_prefix: 's' })] }),
    turns: [get('/')],
  },
  {
    name: 'an-unhealthy-endpoint',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('header_mutation', 'HeaderMutation', {
            mutations: {
              request_mutations: [
                {
                  append: {
                    header: { key: 'x-at', value: base64(`127.0.0.1:${ports['a']}`) },
                    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
                  },
                },
              ],
            },
          }),
          sessions('header', { name: 'x-at' }, { strict: true }),
        ],
        routes: [
          { match: { prefix: '/b' }, route: { cluster: 'b' } },
          { match: { prefix: '/c' }, route: { cluster: 'c' } },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
        clusters: (
          [
            ['a', {}],
            ['b', { override_host_status: { statuses: ['UNHEALTHY'] } }],
            ['c', { override_host_status: {} }],
          ] as [string, Message][]
        ).map(([name, common_lb_config]) => ({
          ...cluster(name, []),
          common_lb_config,
          load_assignment: {
            cluster_name: name,
            endpoints: [
              {
                lb_endpoints: [
                  {
                    health_status: 'UNHEALTHY',
                    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: ports['a'] ?? 1 } } },
                  },
                ],
              },
            ],
          },
        })),
      }),
    turns: [get('/a'), get('/b'), get('/c')],
  },
]

export const sessionCases: readonly ParityCase[] = group('sessions', cases)
