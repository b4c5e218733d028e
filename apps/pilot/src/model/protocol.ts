import type { Protocol } from './service.ts'

/** Istio's words for protocols, in lower case. */
const protocols: Readonly<Record<string, Protocol>> = {
  http: 'http',
  http2: 'http2',
  h2c: 'http2',
  grpc: 'grpc',
  'grpc-web': 'grpc-web',
  grpc_web: 'grpc-web',
  https: 'https',
  tls: 'tls',
  tcp: 'tcp',
  mongo: 'mongo',
  redis: 'redis',
  mysql: 'mysql',
  udp: 'udp',
  http_proxy: 'http',
  hbone: 'tcp',
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'https',
}

/** Ports where the server speaks first, so that sniffing would wait for nothing: SMTP, DNS, MySQL, MongoDB. */
const serverFirst = new Set([25, 53, 3306, 27017])

/** A protocol by the word of a Gateway, ServiceEntry or Sidecar port; `auto` for none. */
export function protocolNamed(word: string): Protocol {
  return protocols[word.toLowerCase()] ?? 'auto'
}

export interface PortHints {
  name: string
  number: number
  appProtocol?: string | null | undefined
  /** TCP, UDP or SCTP. */
  transport?: string | null | undefined
}

/** The protocol of a Kubernetes port: its appProtocol, else the prefix of its name (`http-metrics`), else `auto`. */
export function protocolOfPort({ name, number, appProtocol, transport }: PortHints): Protocol {
  if (transport === 'UDP') return 'udp'
  if (appProtocol) return protocols[appProtocol.toLowerCase()] ?? 'tcp'
  const lower = name.toLowerCase()
  if (lower === 'grpc-web' || lower.startsWith('grpc-web-')) return 'grpc-web'
  const named = protocols[lower.split('-', 1)[0]!]
  if (named !== undefined) return named
  return serverFirst.has(number) ? 'tcp' : 'auto'
}
