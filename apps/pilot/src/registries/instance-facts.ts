import type { Health, Locality } from '../model/workload.ts'
import { parseLocality } from './file/workloads.ts'

/** One port of an instance: what clients of the service call it by, and where it is here. */
export interface InstancePort {
  /** Empty where none is said. */
  name: string
  /** The service's port that leads here; undefined where none is said. */
  servicePort: number | undefined
  port: number
  /** Kubernetes' word for it (`http`, `grpc`); undefined where the name tells. */
  protocol: string | undefined
}

/** What a platform says of one instance of a service. The first of its ports is the one it was registered with. */
export interface InstanceFacts {
  /** Unique in its namespace, and the same as long as the instance lives. */
  id: string
  namespace: string
  address: string
  ports: readonly InstancePort[]
  labels: Readonly<Record<string, string>>
  locality: Locality
  network: string
  /** 0 is unsaid. */
  weight: number
  health: Health
  serviceAccount: string
  sidecar: boolean
  origin: string
}

/** What people say about an instance in tags or meta, besides labels. */
export interface Hints {
  portName: string | undefined
  protocol: string | undefined
  servicePort: number | undefined
  extraPorts: readonly InstancePort[]
  namespace: string | undefined
  locality: Locality | undefined
  network: string | undefined
  weight: number | undefined
  serviceAccount: string | undefined
  sidecar: boolean
  labels: Record<string, string>
}

/** Words that are hints; every other `key=value` is a label. */
const hintKeys = new Set([
  'port-name',
  'protocol',
  'service-port',
  'extra-ports',
  'namespace',
  'locality',
  'network',
  'weight',
  'service-account',
  'sidecar',
])

const maxLabels = 64
const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** Whether a text may be the name of a service or namespace of the mesh (RFC 1123 label). */
export function isDnsLabel(text: string): boolean {
  return dnsLabel.test(text)
}

/** Tags as keys and values: `version=v1`, and as Istio 1.0 wrote them `version|v1`; a plain tag is a label with no value. */
export function keysOfTags(tags: readonly string[]): Record<string, string> {
  const keys: Record<string, string> = {}
  for (const tag of tags) {
    const [, key, value] = /^([^=|]+)[=|](.*)$/s.exec(tag) ?? [undefined, tag, '']
    if (key !== undefined && key !== '') keys[key] = value ?? ''
  }
  return keys
}

/** Reads hints and labels. What cannot be read is left out: a word of one team is no reason to lose an endpoint. */
export function readHints(keys: Readonly<Record<string, string>>): Hints {
  const labels: Record<string, string> = {}
  for (const [key, value] of Object.entries(keys).slice(0, maxLabels)) if (!hintKeys.has(key)) labels[key] = value
  const { 'port-name': portName, protocol, namespace, network, sidecar } = keys
  return {
    portName,
    protocol,
    servicePort: portNumber(keys['service-port']),
    extraPorts: readPorts(keys['extra-ports'] ?? ''),
    namespace: namespace !== undefined && isDnsLabel(namespace) ? namespace : undefined,
    locality: keys['locality'] === undefined ? undefined : parseLocality(keys['locality']),
    network,
    weight: wholeNumber(keys['weight'], 1_000_000),
    serviceAccount: keys['service-account'],
    sidecar: sidecar === 'true' || sidecar === 'istio',
    labels,
  }
}

/** `NAME=SERVICEPORT[:PORT][/PROTOCOL]`, several with commas. */
function readPorts(text: string): InstancePort[] {
  const ports: InstancePort[] = []
  for (const item of text.split(',').slice(0, 16)) {
    const [, name = '', stated, own, protocol] = /^\s*([a-z0-9-]+)=(\d+)(?::(\d+))?(?:\/([a-z0-9-]+))?\s*$/.exec(item) ?? []
    const servicePort = portNumber(stated)
    const port = portNumber(own) ?? servicePort
    if (servicePort !== undefined && port !== undefined) ports.push({ name, servicePort, port, protocol })
  }
  return ports
}

function portNumber(text: string | undefined): number | undefined {
  const number = wholeNumber(text, 65_535)
  return number === 0 ? undefined : number
}

function wholeNumber(text: string | undefined, most: number): number | undefined {
  const number = Number(text)
  return text !== undefined && /^\d{1,7}$/.test(text) && number <= most ? number : undefined
}
