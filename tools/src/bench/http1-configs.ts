/** Where a proxy under measurement listens, and what it forwards to. */
export interface Ports {
  listen: number
  admin: number
  upstream: readonly [number, number]
  folder: string
  /** PEM files of a listener with TLS; `ca`: clients have to show a certificate of it. */
  tls?: { cert: string; key: string; ca?: string } | undefined
}

/** Two origin servers that answer so many bytes: out of memory, or where they are many, the folder's file `body`. */
export function nginxUpstreamConfig(upstream: readonly [number, number], folder: string, bodyBytes = 1024): string {
  const answer = bodyBytes <= 4096 ? `return 200 "${'x'.repeat(bodyBytes)}";` : `rewrite ^ /body break; root ${folder};`
  const server = (port: number): string =>
    `server { listen 127.0.0.1:${port} backlog=1024; keepalive_requests 100000000; location / { default_type text/plain; ${answer} } }`
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/upstream.pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; ${folders(folder, 'up')} ${upstream.map(server).join('\n')} }
`
}

function folders(folder: string, name: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${name}-${kind};`)
    .join(' ')
}

/** nginx as the proxy: keep-alive upstreams, a header added each way, one removed, a buffered access log. */
export function nginxProxyConfig(ports: Ports): string {
  return `daemon off; master_process off; worker_processes 1; pid ${ports.folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  ${folders(ports.folder, 'nginx')}
  access_log ${ports.folder}/nginx-access.log combined buffer=64k flush=1s;
  upstream origin { server 127.0.0.1:${ports.upstream[0]}; server 127.0.0.1:${ports.upstream[1]}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${ports.listen} ${ports.tls === undefined ? '' : 'ssl'} backlog=1024; keepalive_requests 100000000;
    ${nginxTls(ports)}
    location /api/ {
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Request-Id $request_id; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Team ""; add_header x-served-by nginx;
      proxy_pass http://origin;
    }
  }
}
`
}

function nginxTls({ tls }: Ports): string {
  if (tls === undefined) return ''
  const client = tls.ca === undefined ? '' : `ssl_verify_client on; ssl_client_certificate ${tls.ca};`
  return `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key}; ssl_protocols TLSv1.3; ${client}`
}

/** haproxy as the proxy, the same work. */
export function haproxyConfig(ports: Ports): string {
  return `global
  nbthread 1
  maxconn 4096
  log 127.0.0.1:${ports.admin} local0
defaults
  mode http
  log global
  option httplog
  option dontlog-normal
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${ports.listen}${haproxyTls(ports)}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  option forwardfor
  http-request del-header X-Team
  http-response add-header x-served-by haproxy
  default_backend origin
backend origin
  balance roundrobin
  server a 127.0.0.1:${ports.upstream[0]}
  server b 127.0.0.1:${ports.upstream[1]}
`
}

/** haproxy takes certificate and key from one file, `<cert>.pem`. */
function haproxyTls({ tls }: Ports): string {
  if (tls === undefined) return ''
  return ` ssl crt ${tls.cert}.pem ssl-min-ver TLSv1.3${tls.ca === undefined ? '' : ` verify required ca-file ${tls.ca}`}`
}

function envoyTls({ tls }: Ports): string {
  if (tls === undefined) return ''
  const trust = tls.ca === undefined ? '' : `, validation_context: { trusted_ca: { filename: ${tls.ca} } }`
  return `      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: ${tls.ca !== undefined}
          common_tls_context: { tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }, tls_certificates: [{ certificate_chain: { filename: ${tls.cert} }, private_key: { filename: ${tls.key} } }]${trust} }
`
}

function otherCluster(number: number, port: number): string {
  const name = `other-${number}`
  const endpoint = `{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }`
  const assignment = `{ cluster_name: ${name}, endpoints: [{ lb_endpoints: [${endpoint}] }] }`
  return `  - { name: ${name}, type: STATIC, connect_timeout: 5s, load_assignment: ${assignment} }\n`
}

/**
 * The bootstrap that real Envoy and ours run alike: rbac, fault, header edits, access log, circuit breakers, timeouts.
 * `more`: so many routes, to clusters of their own, stand before the one that is taken.
 */
export function envoyBootstrap(ports: Ports, name: string, more = 0, log = `${ports.folder}/${name}-access.log`): string {
  const others = Array.from({ length: more }, (_, i) => i)
  const endpoint = (port: number): string =>
    `            - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } }`
  return `node: { id: 'bench', cluster: 'bench' }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${ports.admin} } } }
static_resources:
  listeners:
  - name: ingress
    address: { socket_address: { address: 127.0.0.1, port_value: ${ports.listen} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          use_remote_address: true
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: ${log}
          http_filters:
          - name: envoy.filters.http.rbac
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  items:
                    permissions: [{ and_rules: { rules: [{ header: { name: ':method', string_match: { exact: GET } } }, { url_path: { path: { prefix: /api/ } } }] } }]
                    principals: [{ any: true }]
          - name: envoy.filters.http.fault
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
              abort: { http_status: 503, percentage: { numerator: 100, denominator: HUNDRED } }
              headers: [{ name: x-fail, string_match: { exact: 'yes' } }]
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            name: local
            request_headers_to_remove: [x-team]
            response_headers_to_add: [{ header: { key: x-served-by, value: ${name} } }]
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
${others.map((i) => `              - { match: { prefix: /other/${i}/ }, route: { cluster: other-${i} } }\n`).join('')}\
              - match: { prefix: /static/ }
                route: { cluster: origin }
              - match: { prefix: /api/, headers: [{ name: x-canary, string_match: { exact: 'always' } }] }
                route: { cluster: origin }
              - match: { prefix: /api/ }
                route: { cluster: origin, timeout: 15s, retry_policy: { retry_on: 'connect-failure,refused-stream', num_retries: 2 } }
${envoyTls(ports)}  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    lb_policy: ROUND_ROBIN
    circuit_breakers: { thresholds: [{ max_connections: 1024, max_pending_requests: 1024, max_requests: 1024 }] }
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
${ports.upstream.map(endpoint).join('\n')}
${others.map((i) => otherCluster(i, ports.upstream[0])).join('')}`
}
