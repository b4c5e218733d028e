import { Struct } from '@weft/contracts/google/protobuf/struct'

/** Filter state by which the client's, or the endpoint's, workload is known: as expressions, and as fields, read it. */
export const peerKeys = {
  downstream: ['downstream_peer', 'downstream_peer_obj'],
  upstream: ['upstream_peer', 'upstream_peer_obj'],
} as const
/** Filter state that says that nothing more will be known of the peer. */
export const noPeerKey = 'peer_not_found'

/** What is told of a workload, by the names under which expressions and formats read it. */
const fieldNames = [
  'type',
  'workload',
  'name',
  'cluster',
  'namespace',
  'service',
  'revision',
  'app',
  'version',
  'identity',
  'region',
  'availability_zone',
] as const
type FieldName = (typeof fieldNames)[number]

const canonicalName = 'service.istio.io/canonical-name'
const canonicalRevision = 'service.istio.io/canonical-revision'
const ownerPrefix = 'kubernetes://apis/apps/v1/namespaces/'
const workloadTypes: ReadonlySet<string> = new Set(['pod', 'deployment', 'job', 'cronjob'])

/** Members of the baggage header by the fields that they fill; a service's name and version are also those of the app, and back. */
const baggageFields: Readonly<Record<string, readonly FieldName[]>> = {
  'k8s.namespace.name': ['namespace'],
  'k8s.cluster.name': ['cluster'],
  'k8s.instance.name': ['name'],
  'cloud.region': ['region'],
  'cloud.availability_zone': ['availability_zone'],
  'service.name': ['service', 'app'],
  'service.version': ['revision', 'version'],
  'app.name': ['app', 'service'],
  'app.version': ['version', 'revision'],
}

/** A workload of the mesh as its sidecar tells of it; a field that is not known is empty. */
export class WorkloadMetadata implements Record<FieldName, string> {
  readonly type: string = ''
  readonly workload: string = ''
  readonly name: string = ''
  readonly cluster: string = ''
  readonly namespace: string = ''
  readonly service: string = ''
  readonly revision: string = ''
  readonly app: string = ''
  readonly version: string = ''
  readonly identity: string = ''
  readonly region: string = ''
  readonly availability_zone: string = ''
  readonly labels: Readonly<Record<string, string>> = {}

  constructor(fields: Partial<Record<FieldName, string>>, labels: Readonly<Record<string, string>> = {}) {
    Object.assign(this, fields)
    this.labels = labels
  }

  /** As Google's JSON of the message that Envoy keeps: what is known of it. */
  toJSON(): Record<string, unknown> {
    const told: Record<string, unknown> = {}
    for (const name of fieldNames) if (this[name] !== '') told[name] = this[name]
    if (Object.keys(this.labels).length > 0) told['labels'] = this.labels
    return told
  }

  toString(): string {
    const pairs = fieldNames.filter((name) => name !== 'identity' && this[name] !== '').map((name) => `${name}=${this[name]}`)
    for (const [label, value] of Object.entries(this.labels)) pairs.push(`labels[]${label}=${value}`)
    return pairs.join(',')
  }

  /** As one sidecar tells another. */
  toStruct(): Record<string, unknown> {
    const labels: Record<string, string> = {
      ...(this.service === '' ? {} : { [canonicalName]: this.service }),
      ...(this.revision === '' ? {} : { [canonicalRevision]: this.revision }),
      ...(this.app === '' ? {} : { app: this.app }),
      ...(this.version === '' ? {} : { version: this.version }),
      ...this.labels,
    }
    const told: Record<string, unknown> = { LABELS: sorted(labels) }
    const put = (key: string, value: string): void => {
      if (value !== '') told[key] = value
    }
    put('NAME', this.name)
    put('NAMESPACE', this.namespace)
    put('WORKLOAD_NAME', this.workload)
    put('CLUSTER_ID', this.cluster)
    put('IDENTITY', this.identity)
    if (this.type !== '') put('OWNER', `${ownerPrefix}${this.namespace}/${this.type}s/${this.workload}`)
    put('REGION', this.region)
    put('AVAILABILITY_ZONE', this.availability_zone)
    return sorted(told)
  }

  /** As the baggage header tells it. */
  get baggage(): string {
    const members: string[] = []
    const put = (key: string, value: string): void => {
      if (value !== '') members.push(`${key}=${value}`)
    }
    put(`k8s.${this.type || 'pod'}.name`, this.workload)
    const service = this.service || this.app
    const revision = this.revision || this.version
    put('service.name', service)
    put('app.name', this.app === service ? '' : this.app)
    put('service.version', revision)
    put('app.version', this.version === revision ? '' : this.version)
    put('k8s.namespace.name', this.namespace)
    put('k8s.cluster.name', this.cluster)
    put('k8s.instance.name', this.name)
    put('cloud.region', this.region)
    put('cloud.availability_zone', this.availability_zone)
    return members.join(',')
  }
}

/** A node as its bootstrap has it. */
interface Node {
  readonly metadata: Readonly<Record<string, unknown>>
  readonly locality?: { readonly region: string; readonly zone: string }
}

/** The workload of a node by its metadata. `labels`: those that are told besides those that every one has. */
export function workloadOfNode({ metadata, locality }: Node, labels: ReadonlySet<string> = new Set()): WorkloadMetadata {
  const kept: Record<string, string> = {}
  const own = metadata['LABELS']
  const given: Readonly<Record<string, unknown>> = typeof own === 'object' && own !== null ? { ...own } : {}
  for (const label of labels) if (!known.has(label) && typeof given[label] === 'string') kept[label] = given[label]
  const workload = textOf(metadata['WORKLOAD_NAME'])
  return new WorkloadMetadata(
    {
      type: typeOfOwner(textOf(metadata['OWNER']), workload),
      workload,
      name: textOf(metadata['NAME']),
      cluster: textOf(metadata['CLUSTER_ID']),
      namespace: textOf(metadata['NAMESPACE']),
      service: textOf(given[canonicalName]),
      revision: textOf(given[canonicalRevision]),
      app: textOf(given['app.kubernetes.io/name']) || textOf(given['app']),
      version: textOf(given['app.kubernetes.io/version']) || textOf(given['version']),
      identity: textOf(metadata['IDENTITY']),
      region: textOf(metadata['REGION']) || (locality?.region ?? ''),
      availability_zone: textOf(metadata['AVAILABILITY_ZONE']) || (locality?.zone ?? ''),
    },
    kept,
  )
}

const known: ReadonlySet<string> = new Set([
  canonicalName,
  canonicalRevision,
  'app.kubernetes.io/name',
  'app',
  'app.kubernetes.io/version',
  'version',
])

/** The workload that bytes of a google.protobuf.Struct tell of; null: they are none. */
export function workloadOfBytes(bytes: Uint8Array, labels: ReadonlySet<string>): WorkloadMetadata | null {
  try {
    return workloadOfNode({ metadata: Struct.unwrap(Struct.decode(bytes)) }, labels)
  } catch {
    return null
  }
}

/** What an endpoint's metadata tell of it (`workload;namespace;service;revision;cluster`); null: it is no such text. */
export function workloadOfEndpoint(text: unknown): WorkloadMetadata | null {
  if (typeof text !== 'string') return null
  const parts = text.split(';')
  if (parts.length < 5) return null
  const [workload = '', namespace = '', service = '', revision = '', cluster = ''] = parts
  return new WorkloadMetadata({ workload, namespace, service, revision, cluster })
}

/** The workload that a baggage header tells of. */
export function workloadOfBaggage(header: string): WorkloadMetadata {
  const fields: Partial<Record<FieldName, string>> = {}
  for (const member of header.split(',')) {
    const [key = '', value = ''] = member.split('=')
    const kind = /^k8s\.(deployment|pod|cronjob|job)\.name$/.exec(key)?.[1]
    if (kind !== undefined) Object.assign(fields, { workload: value, type: kind })
    const [own, ...also] = Object.hasOwn(baggageFields, key) ? baggageFields[key]! : []
    if (own === undefined) continue
    fields[own] = value
    for (const other of also) fields[other] ||= value
  }
  return new WorkloadMetadata(fields)
}

/** Bytes of a google.protobuf.Struct, the same for the same fields. */
export function structBytes(struct: Record<string, unknown>): Uint8Array {
  return Struct.encode(Struct.wrap(struct)).finish()
}

/** `…/deployments/reviews-v1`: deployment. */
function typeOfOwner(owner: string, workload: string): string {
  const kind = owner.slice(0, Math.max(0, owner.length - workload.length - 2)).replace(/^.*\//, '')
  return workloadTypes.has(kind) ? kind : ''
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
