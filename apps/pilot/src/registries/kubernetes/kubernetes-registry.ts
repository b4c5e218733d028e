import { isDeepStrictEqual } from 'node:util'
import type { KubernetesClient } from '@weft/kubernetes/client'
import type { Locality, Workload } from '../../model/workload.ts'
import type { RegisteredService, Registry, RegistryContents, RegistryContext, RegistryState } from '../registry.ts'
import { Collection, type CollectionOptions, tellOfProblem } from './collection.ts'
import { type EndpointSlice, readEndpointSlice, type SliceEndpoint } from './endpoint-slice.ts'
import { readNodeLocality } from './locality.ts'
import { type Namespace, namespaceOf, readNamespace } from './namespace.ts'
import { type Pod, readPod, workloadOfPod } from './pod.ts'
import { type KubernetesServiceFacts, readService } from './service.ts'

export interface KubernetesRegistryOptions extends RegistryContext {
  client: KubernetesClient
  /**
   * Empty: all that the mesh's `discoverySelectors` select. With some named, nothing of the cluster as a whole is read: no Nodes,
   * no Namespaces.
   */
  namespaces?: readonly string[]
  /** Of Services and their slices. */
  labelSelector?: string | undefined
}

const core = (plural: string) => ({ group: '', version: 'v1', plural })
const nowhere: Locality = { region: '', zone: '', subZone: '' }

/**
 * The registry of a Kubernetes cluster: Services, their endpoints by EndpointSlices, Pods with their labels and service accounts,
 * and where they stand by Nodes and Namespaces. All of it is watched; a change is worked out for the services it touches alone.
 */
export class KubernetesRegistry implements Registry {
  readonly name = 'kubernetes'
  contents: RegistryContents = { services: [], workloads: [] }
  readonly state: RegistryState = { synced: false, problem: undefined }
  readonly #options: KubernetesRegistryOptions
  readonly #listeners = new Set<() => void>()
  readonly #services: Collection<KubernetesServiceFacts>
  readonly #slices: Collection<EndpointSlice>
  readonly #pods: Collection<Pod>
  readonly #nodes: Collection<Locality> | undefined
  readonly #namespaces: Collection<Namespace> | undefined

  /** Slices by service: those of which it consists. */
  readonly #slicesOf = new Map<string, Map<string, EndpointSlice>>()
  readonly #serviceOfSlice = new Map<string, string>()
  /** Services by pod, so that a pod's change reaches them. */
  readonly #servicesOfPod = new Map<string, Set<string>>()
  readonly #registered = new Map<string, RegisteredService>()
  readonly #workloads = new Map<string, Workload>()
  readonly #localities = new Map<string, Locality>()
  readonly #discovered = new Set<string>()
  #network = ''

  readonly #dirtyServices = new Set<string>()
  readonly #dirtyPods = new Set<string>()
  #scheduled: NodeJS.Immediate | undefined

  constructor(options: KubernetesRegistryOptions) {
    this.#options = options
    const { client, logger, mesh, namespaces = [], labelSelector } = options
    const common = { client, logger, onState: () => this.#readState() }
    const watch = <T>(more: Omit<CollectionOptions<T>, keyof typeof common>): Collection<T> =>
      new Collection({ ...common, ...more })
    this.#services = watch({
      resource: core('services'),
      namespaces,
      labelSelector,
      read: (object) => readService(object, mesh),
      onChange: (keys) => this.#touch(this.#dirtyServices, keys),
    })
    this.#slices = watch({
      resource: { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' },
      namespaces,
      labelSelector,
      read: readEndpointSlice,
      onChange: (keys) => this.#slicesChanged(keys),
    })
    this.#pods = watch({
      resource: core('pods'),
      namespaces,
      read: readPod,
      onChange: (keys) => this.#touch(this.#dirtyPods, keys),
    })
    if (namespaces.length > 0) return
    this.#nodes = watch({
      resource: core('nodes'),
      namespaces: [],
      read: readNodeLocality,
      onChange: (keys) => this.#nodesChanged(keys),
    })
    this.#namespaces = watch({
      resource: core('namespaces'),
      namespaces: [],
      read: (object) => readNamespace(object, mesh.discoverySelectors),
      onChange: (keys) => this.#namespacesChanged(keys),
    })
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    clearImmediate(this.#scheduled)
    this.#listeners.clear()
    await Promise.all(this.#collections().map((collection) => collection.close()))
    this.#options.client.close()
  }

  #collections(): Collection<unknown>[] {
    return [this.#services, this.#slices, this.#pods, this.#nodes, this.#namespaces].filter((one) => one !== undefined)
  }

  /** A collection's own state changed. The first answer is in when each of them has its first list. */
  #readState(): void {
    const all = this.#collections()
    const { problem: before } = this.state
    this.state.problem = all.find(({ problem }) => problem !== undefined)?.problem
    tellOfProblem(this.#options.logger, 'services of Kubernetes', before, this.state.problem)
    if (!this.state.synced && all.every(({ synced }) => synced)) this.#schedule()
  }

  #touch(dirty: Set<string>, keys: Iterable<string>): void {
    for (const key of keys) dirty.add(key)
    this.#schedule()
  }

  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined
      this.#rebuild()
    })
  }

  #slicesChanged(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const slice = this.#slices.get(key)
      const before = this.#serviceOfSlice.get(key)
      if (before !== undefined) {
        this.#slicesOf.get(before)?.delete(key)
        this.#serviceOfSlice.delete(key)
        this.#dirtyServices.add(before)
      }
      if (slice === undefined) continue
      this.#serviceOfSlice.set(key, slice.service)
      mapAt(this.#slicesOf, slice.service).set(key, slice)
      this.#dirtyServices.add(slice.service)
    }
    this.#schedule()
  }

  /** Nodes change all the time (their heartbeats): only another locality matters. */
  #nodesChanged(keys: ReadonlySet<string>): void {
    const moved = new Set<string>()
    for (const key of keys) {
      const locality = this.#nodes?.get(key)
      if (isDeepStrictEqual(locality, this.#localities.get(key))) continue
      if (locality === undefined) this.#localities.delete(key)
      else this.#localities.set(key, locality)
      moved.add(key)
    }
    if (moved.size === 0) return
    for (const [key, { node }] of this.#pods.entries()) if (moved.has(node)) this.#dirtyPods.add(key)
    this.#schedule()
  }

  #namespacesChanged(keys: ReadonlySet<string>): void {
    const { rootNamespace } = this.#options.mesh
    const turned = new Set<string>()
    for (const key of keys) {
      const isDiscovered = this.#namespaces?.get(key)?.isDiscovered === true
      if (isDiscovered === this.#discovered.has(key)) continue
      if (isDiscovered) this.#discovered.add(key)
      else this.#discovered.delete(key)
      turned.add(key)
    }
    const network = this.#namespaces?.get(rootNamespace)?.network ?? ''
    const isElsewhere = network !== this.#network
    if (turned.size === 0 && !isElsewhere) return
    this.#network = network
    const isTouched = (key: string): boolean => isElsewhere || turned.has(namespaceOf(key) ?? '')
    for (const [key] of this.#pods.entries()) if (isTouched(key)) this.#dirtyPods.add(key)
    for (const [key] of this.#services.entries()) if (isTouched(key)) this.#dirtyServices.add(key)
    this.#schedule()
  }

  /** Whether an object is in a namespace of the mesh. */
  #isDiscovered(key: string): boolean {
    const isAnyDiscovered = this.#namespaces === undefined || this.#options.mesh.discoverySelectors.length === 0
    return isAnyDiscovered || this.#discovered.has(namespaceOf(key) ?? '')
  }

  #rebuild(): void {
    const all = this.#collections()
    // Before all first lists are in, services would come without their endpoints, and endpoints without their pods.
    if (!this.state.synced && !all.every(({ synced }) => synced)) return
    let workloadsChanged = false
    for (const key of this.#dirtyPods) {
      workloadsChanged = this.#rebuildPod(key) || workloadsChanged
      for (const service of this.#servicesOfPod.get(key) ?? []) this.#dirtyServices.add(service)
    }
    let servicesChanged = false
    for (const key of this.#dirtyServices) servicesChanged = this.#rebuildService(key) || servicesChanged
    this.#dirtyPods.clear()
    this.#dirtyServices.clear()
    const first = !this.state.synced
    this.state.synced = true
    if (!first && !workloadsChanged && !servicesChanged) return
    this.contents = {
      services: servicesChanged ? [...this.#registered.values()] : this.contents.services,
      workloads: workloadsChanged ? [...this.#workloads.values()] : this.contents.workloads,
    }
    for (const listener of this.#listeners) listener()
  }

  /** True when the pod, as a workload, is another than before. */
  #rebuildPod(key: string): boolean {
    const pod = this.#isDiscovered(key) ? this.#pods.get(key) : undefined
    const before = this.#workloads.get(key)
    if (pod === undefined || pod.address === '' || pod.onHostNetwork) return this.#workloads.delete(key)
    const workload = workloadOfPod(pod, this.#placeOf(pod))
    if (isDeepStrictEqual(workload, before)) return false
    this.#workloads.set(key, workload)
    return true
  }

  #placeOf({ node }: { node: string }, zone = ''): { trustDomain: string; locality: Locality; network: string } {
    const locality = this.#localities.get(node) ?? (zone === '' ? nowhere : { ...nowhere, zone })
    return { trustDomain: this.#options.mesh.trustDomain, locality, network: this.#network }
  }

  /** True when the service or its endpoints are others than before; what stayed is the very object. */
  #rebuildService(key: string): boolean {
    const before = this.#registered.get(key)
    const facts = this.#isDiscovered(key) ? this.#services.get(key) : undefined
    this.#forgetPodsOf(key, before)
    if (facts === undefined) return this.#registered.delete(key)
    const listed = this.#endpointsOf(key, facts)
    // An ExternalName's one endpoint is its name, which the service itself says.
    const found = listed.length > 0 ? listed : facts.registered.workloads
    const known = new Map(before?.workloads.map((workload) => [placeKey(workload), workload]))
    const workloads = found.map((workload) => {
      const last = known.get(placeKey(workload))
      return last !== undefined && isDeepStrictEqual(last, workload) ? last : workload
    })
    const service = before?.service.version === facts.registered.service.version ? before.service : facts.registered.service
    const same = before !== undefined && sameItems(before.workloads, workloads)
    if (same && before.service === service) return false
    this.#registered.set(key, { ...facts.registered, service, workloads: same ? before.workloads : workloads })
    return true
  }

  #forgetPodsOf(service: string, before: RegisteredService | undefined): void {
    for (const { key } of before?.workloads ?? []) {
      const services = this.#servicesOfPod.get(key)
      services?.delete(service)
      if (services?.size === 0) this.#servicesOfPod.delete(key)
    }
  }

  /** What the slices of a service list, each address and set of ports once. */
  #endpointsOf(service: string, { family }: KubernetesServiceFacts): Workload[] {
    const slices = [...(this.#slicesOf.get(service)?.values() ?? [])]
    const chosen = slices.some((slice) => slice.family === family) ? slices.filter((slice) => slice.family === family) : slices
    const workloads = new Map<string, Workload>()
    for (const slice of chosen) {
      for (const endpoint of slice.endpoints) {
        const workload = this.#workloadOf(service, slice, endpoint)
        const place = placeKey(workload)
        // An endpoint that moves between slices is in both for a while: the one that can be used counts.
        if (workloads.get(place)?.health !== 'healthy') workloads.set(place, workload)
        if (endpoint.pod !== undefined) setAt(this.#servicesOfPod, endpoint.pod).add(service)
      }
    }
    return [...workloads.values()]
  }

  #workloadOf(service: string, { ports }: EndpointSlice, endpoint: SliceEndpoint): Workload {
    const { address, health, node, zone } = endpoint
    const pod = endpoint.pod === undefined ? undefined : this.#pods.get(endpoint.pod)
    const place = this.#placeOf({ node: node || (pod?.node ?? '') }, zone)
    if (pod !== undefined) return { ...workloadOfPod(pod, place), address, health, ports }
    const slash = service.indexOf('/')
    const namespace = service.slice(0, slash)
    return {
      key: endpoint.pod ?? `${service}~${address}`,
      name: endpoint.pod?.slice(endpoint.pod.indexOf('/') + 1) ?? `${service.slice(slash + 1)}~${address}`,
      namespace,
      address,
      ports,
      labels: {},
      serviceAccount: '',
      identity: '',
      locality: place.locality,
      network: place.network,
      ...(node === '' ? {} : { node }),
      weight: 0,
      health,
      tlsMode: 'disabled',
      origin: `Service/${service}`,
    }
  }
}

function placeKey({ address, ports }: Workload): string {
  return `${address} ${JSON.stringify(ports)}`
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

function mapAt<K, A, B>(maps: Map<K, Map<A, B>>, key: K): Map<A, B> {
  let map = maps.get(key)
  if (map === undefined) {
    map = new Map()
    maps.set(key, map)
  }
  return map
}

function setAt<K, V>(sets: Map<K, Set<V>>, key: K): Set<V> {
  let set = sets.get(key)
  if (set === undefined) {
    set = new Set()
    sets.set(key, set)
  }
  return set
}
