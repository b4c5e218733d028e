import type { ClusterAccess } from '@weft/kubernetes/access'
import { KubernetesClient } from '@weft/kubernetes/client'
import { type ResourceType, resourcePath } from '@weft/kubernetes/resource'
import { createLogger } from '@weft/service/logger'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import type { Platform, PlatformInstance, PlatformService } from '../conformance/platform.ts'
import { KubernetesRegistry } from './kubernetes-registry.ts'

/** An API server for tests, real or a stand-in. */
export interface ApiServer {
  readonly name: string
  readonly url: string
  /** As an administrator. */
  readonly store: ObjectStore
  /** Of a Pilot that is started beside it, with its rights. */
  readonly kubeconfig?: string
  readonly host: string
  readonly port: number
  restart(): Promise<void>
  /** Makes versions from before too old. */
  forget(): Promise<void>
  /** The token of `access` is no longer taken, and later another is. */
  credentials: { access: ClusterAccess; expire(): Promise<void>; renew(): Promise<void> }
  close(): Promise<void>
}

/** Where the driver writes. */
export interface ObjectStore {
  /** Makes an object, or changes it: `before` is what it was. */
  write(wanted: Wanted, before: Wanted | undefined): Promise<void>
  remove(wanted: Wanted): Promise<void>
}

interface Wanted {
  type: ResourceType
  namespace: string | undefined
  name: string
  object: Record<string, unknown>
  /** Written after it: the server takes it apart from the rest. */
  status?: Record<string, unknown>
  /** What cannot be changed in place. */
  fixed?: unknown
}

const core = (plural: string): ResourceType => ({ group: '', version: 'v1', plural })
const slices: ResourceType = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' }

/** What the suite makes is told by this label from what a cluster has by itself. */
const ownLabels = { 'mesh.weft.dev/suite': 'registries' }
const labelSelector = 'mesh.weft.dev/suite=registries'

/** Requests of the driver at a time. */
const atOnce = 16

/** For tests: Kubernetes as a platform of the conformance suite. Services, pods and slices are written as its controllers write them. */
export function kubernetesPlatform(server: ApiServer): Platform {
  const { store } = server
  let current = new Map<string, Wanted>()
  return {
    name: server.name,
    lacks: { weights: 'endpoints of Kubernetes have no weights', 'half-written': 'an object is written whole' },
    target: { host: server.host, port: server.port },
    ...(server.kubeconfig === undefined
      ? {}
      : { pilotFlags: ['--registry', `kubernetes=?kubeconfig=${server.kubeconfig}&label-selector=${labelSelector}`] }),
    async set(services) {
      const before = current
      const next = wantedOf(services)
      // Namespaces, accounts and nodes stay: real ones take long to go.
      for (const [key, wanted] of before) if (isBase(wanted.type)) next.set(key, wanted)
      current = next
      const wanted = [...next].filter(([key, one]) => !same(before.get(key), one))
      const writes = (base: boolean) =>
        wanted
          .filter(([, { type }]) => isBase(type) === base)
          .map(
            ([key, one]) =>
              () =>
                store.write(one, before.get(key)),
          )
      await eachOf(writes(true))
      const gone = [...before]
        .filter(([key]) => !next.has(key))
        .map(
          ([, one]) =>
            () =>
              store.remove(one),
        )
      await eachOf([...writes(false), ...gone])
    },
    open: async (through) => {
      const url = new URL(server.url)
      if (through !== undefined) url.host = `${through.host}:${through.port}`
      const access = { ...server.credentials.access, server: url.toString().replace(/\/$/, '') }
      const logger = createLogger('kubernetes', 'silent')
      return new KubernetesRegistry({ client: new KubernetesClient(access), mesh: defaultMeshSettings, logger, labelSelector })
    },
    restart: () => server.restart(),
    forget: () => server.forget(),
    credentials: { expire: () => server.credentials.expire(), renew: () => server.credentials.renew() },
    close: () => server.close(),
  }
}

/** What other objects need to be there first, and what is left there. */
function isBase({ plural }: ResourceType): boolean {
  return plural === 'namespaces' || plural === 'serviceaccounts' || plural === 'nodes'
}

function same(a: Wanted | undefined, b: Wanted): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

async function eachOf(work: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = [...work]
  const run = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await next()
  }
  await Promise.all(Array.from({ length: atOnce }, run))
}

/** Writes by the API. */
export function apiStore(client: KubernetesClient): ObjectStore {
  const mergePatch = 'application/merge-patch+json'
  const store: ObjectStore = {
    async write(wanted, before) {
      const { type, namespace, name, object, status } = wanted
      const path = resourcePath(type, namespace, name)
      const again = before !== undefined && JSON.stringify(before.fixed) !== JSON.stringify(wanted.fixed)
      if (again) await store.remove(before)
      if (before === undefined || again) {
        const answer = await client.send({ method: 'POST', path: resourcePath(type, namespace), body: withoutNulls(object) })
        if (answer.status !== 201 && answer.status !== 409)
          throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
      } else await client.call({ method: 'PATCH', path, body: object, contentType: mergePatch })
      if (status === undefined) return
      const statusPath = resourcePath(type, namespace, name, 'status')
      await client.call({ method: 'PATCH', path: statusPath, body: { status }, contentType: mergePatch })
    },
    async remove({ type, namespace, name }) {
      const path = resourcePath(type, namespace, name)
      await client.send({ method: 'DELETE', path, query: { gracePeriodSeconds: '0' } })
    },
  }
  return store
}

/** A new object has no fields to take away. */
export function withoutNulls(object: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(object, (_, value: unknown) => value ?? undefined)) as Record<string, unknown>
}

function wantedOf(services: readonly PlatformService[]): Map<string, Wanted> {
  const all = new Map<string, Wanted>()
  const add = (type: ResourceType, namespace: string | undefined, name: string, rest: Partial<Wanted>): void => {
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }), ...(rest.object?.['metadata'] ?? {}) }
    const object = { ...rest.object, metadata }
    all.set(`${type.plural}/${namespace}/${name}`, { ...rest, type, namespace, name, object })
  }
  for (const { name, namespace = 'default', ports, instances } of services) {
    add(core('namespaces'), undefined, namespace, {})
    add(core('services'), namespace, name, {
      object: {
        metadata: { labels: ownLabels },
        spec: { ports: ports.map((port) => ({ name: port.name, port: port.number, appProtocol: port.protocol ?? null })) },
      },
    })
    for (const instance of instances) {
      const { serviceAccount = 'default' } = instance
      add(core('serviceaccounts'), namespace, serviceAccount, {})
      const node = nodeOf(instance)
      if (node !== '' && instance.locality !== undefined) {
        const { region, zone } = instance.locality
        const labels = { 'topology.kubernetes.io/region': region, 'topology.kubernetes.io/zone': zone }
        add(core('nodes'), undefined, node, { object: { metadata: { labels } } })
      }
      add(core('pods'), namespace, instance.name, podOf(instance, serviceAccount, node))
    }
    for (const [key, group] of slicesOf(instances)) {
      add(slices, namespace, `${name}-${key}`, {
        object: sliceOf(name, namespace, group),
        fixed: group[0]?.address.includes(':'),
      })
    }
  }
  return all
}

function nodeOf({ locality }: PlatformInstance): string {
  return locality === undefined ? '' : `node-${locality.region}-${locality.zone}`
}

function podOf(instance: PlatformInstance, serviceAccountName: string, nodeName: string): Partial<Wanted> {
  const { labels, sidecar, network, address, healthy = true } = instance
  const spec = {
    serviceAccountName,
    ...(nodeName === '' ? {} : { nodeName }),
    containers: [{ name: 'app', image: 'app' }],
    automountServiceAccountToken: false,
  }
  // A label that is null in a merge patch is taken away.
  const all = {
    app: null,
    version: null,
    'security.istio.io/tlsMode': sidecar ? 'istio' : null,
    'topology.istio.io/network': network ?? null,
    ...labels,
  }
  return {
    object: { metadata: { labels: all }, spec },
    status: {
      phase: 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      conditions: [{ type: 'Ready', status: healthy ? 'True' : 'False' }],
    },
    fixed: [spec, address],
  }
}

/** Instances with the same ports are in one slice, a hundred at most. */
function slicesOf(instances: readonly PlatformInstance[]): Map<string, PlatformInstance[]> {
  const byPorts = new Map<string, PlatformInstance[]>()
  for (const instance of instances) {
    const key = JSON.stringify([instance.ports, instance.address.includes(':')])
    byPorts.set(key, [...(byPorts.get(key) ?? []), instance])
  }
  return new Map([...byPorts.values()].map((group, index) => [`slice-${index}`, group]))
}

function sliceOf(service: string, namespace: string, group: readonly PlatformInstance[]): Record<string, unknown> {
  const [first] = group
  return {
    metadata: { labels: { 'kubernetes.io/service-name': service, ...ownLabels } },
    addressType: first?.address.includes(':') ? 'IPv6' : 'IPv4',
    ports: Object.entries(first?.ports ?? {}).map(([name, port]) => ({ name, port, protocol: 'TCP' })),
    endpoints: group.map((instance) => ({
      addresses: [instance.address],
      conditions: { ready: instance.healthy ?? true, serving: instance.healthy ?? true, terminating: false },
      targetRef: { kind: 'Pod', name: instance.name, namespace },
      ...(nodeOf(instance) === '' ? {} : { nodeName: nodeOf(instance) }),
    })),
  }
}
