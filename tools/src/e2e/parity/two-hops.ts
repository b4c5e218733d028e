import { address, cluster, http, type Message, typed } from './bootstrap.ts'
import type { ClientTurn, Http2Request, Ports } from './case.ts'

/** One connection with these requests, one after the other. */
export function asks(...requests: Http2Request[]): ClientTurn {
  return { send: [], http2: requests }
}

/** How a cluster speaks HTTP to its endpoints. */
export function protocol(choice: Message): Message {
  const name = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
  return { typed_extension_protocol_options: { [name]: typed(name, choice) } }
}

export const overHttp2 = protocol({ explicit_http_config: { http2_protocol_options: {} } })

/** A second listener before the origin, which the first speaks HTTP/2 to: the codec's both sides meet. */
export function throughInner(ports: Ports, manager: Message = {}, clusterOptions: Message = overHttp2): Message {
  const outer = http(ports, { clusters: [], manager })
  const inner = http(
    { ...ports, http: ports['inner'] ?? 0 },
    { clusters: [], manager: { stat_prefix: 'inner', access_log: [], ...manager } },
  )
  const [first] = (outer['static_resources'] as { listeners: Message[] }).listeners
  const [second] = (inner['static_resources'] as { listeners: Message[] }).listeners
  const toInner = JSON.parse(JSON.stringify(first).replaceAll('"cluster":"a"', '"cluster":"inner"')) as Message
  return {
    admin: { address: address(ports['admin'] ?? 0) },
    static_resources: {
      listeners: [toInner, { ...second, name: 'inner' }],
      clusters: [cluster('inner', [ports['inner'] ?? 0], clusterOptions), cluster('a', [ports['a'] ?? 0])],
    },
  }
}
