import type { ConfigObject } from '@weft/config/objects'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Workload } from '../../model/workload.ts'
import type { RegisteredService, Registry, RegistryContents, RegistryState } from '../registry.ts'
import { serviceOfKubernetes, servicesOfEntry } from './services.ts'
import { workloadOfWorkload, workloadOfWorkloadEntry } from './workloads.ts'

/** What one object contributed, kept as long as its version stays. */
interface Contribution {
  version: string
  services: readonly RegisteredService[]
  workloads: readonly Workload[]
}

const nothing: readonly never[] = []

/**
 * The registry of what people write in files: ServiceEntry, WorkloadEntry, Weft's `Workload` and Kubernetes Services.
 * `update` gives it the objects in force; unchanged ones are not read again.
 */
export class FileRegistry implements Registry {
  readonly name = 'file'
  contents: RegistryContents = { services: [], workloads: [] }
  readonly state: RegistryState = { synced: false, problem: undefined }
  readonly #mesh: MeshSettings
  #contributions = new Map<string, Contribution>()
  readonly #listeners = new Set<() => void>()

  constructor(mesh: MeshSettings) {
    this.#mesh = mesh
  }

  /** Takes the objects in force, by key. */
  update(objects: ReadonlyMap<string, ConfigObject>): void {
    const next = new Map<string, Contribution>()
    let changed = !this.state.synced
    for (const [key, object] of objects) {
      const before = this.#contributions.get(key)
      const now = before?.version === object.version ? before : withServicesOf(before, this.#contributionOf(object))
      if (now === undefined) continue
      next.set(key, now)
      changed ||= now !== before
    }
    changed ||= next.size !== this.#contributions.size
    this.#contributions = next
    this.state.synced = true
    if (!changed) return
    const all = [...next.values()]
    this.contents = {
      services: all.flatMap(({ services }) => services),
      workloads: all.flatMap(({ workloads }) => workloads),
    }
    for (const listener of this.#listeners) listener()
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
  }

  #contributionOf(object: ConfigObject): Contribution | undefined {
    const { version } = object
    switch (object.kind) {
      case 'Service':
        return { version, services: [serviceOfKubernetes(object, this.#mesh)], workloads: nothing }
      case 'ServiceEntry':
        return { version, services: servicesOfEntry(object, this.#mesh), workloads: nothing }
      case 'WorkloadEntry':
        return { version, services: nothing, workloads: [workloadOfWorkloadEntry(object, this.#mesh.trustDomain)] }
      case 'Workload': {
        const workload = workloadOfWorkload(object, this.#mesh.trustDomain)
        return { version, services: nothing, workloads: workload === undefined ? nothing : [workload] }
      }
      default:
        return undefined
    }
  }
}

/** Services that are as they were stay the very objects, so that only their endpoints are seen to differ. */
function withServicesOf(before: Contribution | undefined, now: Contribution | undefined): Contribution | undefined {
  if (before === undefined || now === undefined) return now
  const known = new Map(before.services.map(({ service }) => [service.version, service]))
  const services = now.services.map((one) => ({ ...one, service: known.get(one.service.version) ?? one.service }))
  return { ...now, services }
}
