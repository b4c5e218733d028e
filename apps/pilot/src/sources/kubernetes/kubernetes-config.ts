import { type CustomResourceKind, customResourceKinds, ingressKinds } from '@weft/config/custom-resources/kinds'
import type { Problem } from '@weft/config/problem'
import type { Loaded, LoadedConfig } from '@weft/config/watch/loaded'
import type { LabelSelector } from '@weft/inject/label-selector'
import type { KubernetesClient } from '@weft/kubernetes/client'
import type { ApiObject } from '@weft/kubernetes/resource'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import { Collection, tellOfProblem } from '../../registries/kubernetes/collection.ts'
import { type Namespace, namespaceOf, readNamespace } from '../../registries/kubernetes/namespace.ts'
import type { ConfigProvider } from '../config-provider.ts'
import { readStoredObject, type StoredObject } from './stored-object.ts'

export interface KubernetesConfigOptions {
  client: KubernetesClient
  /** Empty: all that `discoverySelectors` select. */
  namespaces?: readonly string[]
  /** Of MeshConfig; where there are some, Namespaces are followed. */
  discoverySelectors?: readonly LabelSelector[]
  /** Whether Ingresses and their classes are followed. */
  followsIngresses?: boolean
  /** Of this control plane, `default` where none is given: objects that name another are not read. */
  revision?: string
  logger: Logger
}

/** A kind that the API server serves now, in one version. */
interface ServedKind {
  resource: CustomResourceKind
  version: string
}

/** An object of the API server, and where its status is written. */
export interface KeptObject {
  stored: StoredObject
  kind: ServedKind
  namespace: string | undefined
  name: string
  /** What is in force of it: the last good version. */
  loaded: Loaded | undefined
}

const definitions = { group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions' }
const definitionSchema = z.object({
  spec: z.object({
    group: z.string(),
    names: z.object({ kind: z.string(), plural: z.string() }),
    versions: z.array(z.object({ name: z.string(), served: z.boolean() })),
  }),
  status: z
    .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) })
    .default({ conditions: [] }),
})

/**
 * The configuration that a Kubernetes cluster keeps as custom resources. Which of them it has is watched too: a kind is followed
 * when its definition is there, in the newest version that is served, and its objects are gone when the definition goes. Ingresses
 * need no definition.
 */
export class KubernetesConfig implements ConfigProvider {
  readonly name = 'kubernetes'
  current: LoadedConfig = { objects: new Map(), problems: [] }
  readonly state = { synced: false, problem: undefined as string | undefined }
  /** By `plural.group/namespace/name`. */
  readonly objects = new Map<string, KeptObject>()
  readonly #options: KubernetesConfigOptions
  readonly #definitions: Collection<ServedKind>
  /** Undefined where all are in the mesh. */
  readonly #namespaces: Collection<Namespace> | undefined
  readonly #kinds = new Map<string, { kind: ServedKind; collection: Collection<StoredObject> }>()
  readonly #closing = new Set<Promise<void>>()
  readonly #listeners = new Set<() => void>()
  #scheduled: NodeJS.Immediate | undefined

  constructor(options: KubernetesConfigOptions) {
    this.#options = options
    const { client, logger, namespaces = [], discoverySelectors = [] } = options
    if (discoverySelectors.length > 0 && namespaces.length === 0) {
      this.#namespaces = new Collection({
        client,
        logger,
        resource: { group: '', version: 'v1', plural: 'namespaces' },
        namespaces: [],
        read: (object) => readNamespace(object, discoverySelectors),
        onChange: (names) => this.#namespacesChanged(names),
        onState: () => this.#schedule(),
      })
    }
    for (const resource of options.followsIngresses === true ? ingressKinds : []) {
      const name = `${resource.plural}.${resource.group}`
      const kind = { resource, version: 'v1' }
      this.#kinds.set(name, { kind, collection: this.#follow(name, kind) })
    }
    this.#definitions = new Collection({
      client,
      logger,
      resource: definitions,
      namespaces: [],
      read: readDefinition,
      onChange: (names) => this.#definitionsChanged(names),
      onState: () => this.#schedule(),
    })
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    clearImmediate(this.#scheduled)
    this.#listeners.clear()
    const collections = this.#collections()
    await Promise.all([...collections.map((collection) => collection.close()), ...this.#closing])
    this.#options.client.close()
  }

  #collections(): Collection<unknown>[] {
    const kinds = [...this.#kinds.values()].map(({ collection }) => collection)
    return [this.#definitions, ...(this.#namespaces === undefined ? [] : [this.#namespaces]), ...kinds]
  }

  /** Objects of namespaces that are selected now, or no longer, come or go. */
  #namespacesChanged(names: ReadonlySet<string>): void {
    for (const [name, { kind, collection }] of this.#kinds) {
      for (const [key, stored] of collection.entries()) {
        const id = `${name}/${key}`
        const isOther = names.has(namespaceOf(key) ?? '') && this.#isDiscovered(key) !== this.objects.has(id)
        if (isOther) this.#objectChanged(id, key, kind, stored)
      }
    }
    this.#schedule()
  }

  #isDiscovered(key: string): boolean {
    const namespace = namespaceOf(key)
    return this.#namespaces === undefined || namespace === undefined || this.#namespaces.get(namespace)?.isDiscovered === true
  }

  #definitionsChanged(names: ReadonlySet<string>): void {
    for (const name of names) {
      const kind = this.#definitions.get(name)
      const before = this.#kinds.get(name)
      if (before !== undefined && kind !== undefined && before.kind.version === kind.version) continue
      if (before !== undefined) this.#drop(name, before.collection)
      if (kind !== undefined) this.#kinds.set(name, { kind, collection: this.#follow(name, kind) })
    }
    this.#schedule()
  }

  #drop(name: string, collection: Collection<unknown>): void {
    this.#kinds.delete(name)
    for (const key of this.objects.keys()) if (key.startsWith(`${name}/`)) this.objects.delete(key)
    const closing = collection.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  #follow(name: string, kind: ServedKind): Collection<StoredObject> {
    const { client, logger, namespaces = [], revision = 'default' } = this.#options
    const { group, plural, kind: kindName, scope } = kind.resource
    const type = { apiVersion: `${group}/${kind.version}`, kind: kindName, plural }
    const collection: Collection<StoredObject> = new Collection({
      client,
      logger,
      resource: { group, version: kind.version, plural },
      namespaces: scope === 'Cluster' ? [] : namespaces,
      read: (object: ApiObject) => {
        const stored = readStoredObject(object, type)
        return stored.revision === undefined || stored.revision === revision ? stored : undefined
      },
      onChange: (keys) => {
        for (const key of keys) this.#objectChanged(`${name}/${key}`, key, kind, collection.get(key))
        this.#schedule()
      },
      onState: () => this.#schedule(),
    })
    return collection
  }

  #objectChanged(id: string, key: string, kind: ServedKind, stored: StoredObject | undefined): void {
    if (stored === undefined || !this.#isDiscovered(key)) {
      this.objects.delete(id)
      return
    }
    const before = this.objects.get(id)?.loaded
    const [namespace, name] = [namespaceOf(key), key.slice(key.indexOf('/') + 1)]
    this.objects.set(id, { stored, kind, namespace, name, loaded: inForce(stored.reading, before) })
  }

  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined
      this.#rebuild()
    })
  }

  #rebuild(): void {
    const collections = this.#collections()
    const { problem: before } = this.state
    this.state.problem = collections.find(({ problem }) => problem !== undefined)?.problem
    tellOfProblem(this.#options.logger, 'custom resources of Kubernetes', before, this.state.problem)
    // A kind that came later is waited for as well: half of a configuration is another one.
    if (!collections.every(({ synced }) => synced)) return
    this.state.synced = true
    const objects = new Map<string, Loaded>()
    const problems: Problem[] = []
    for (const { stored, loaded } of this.objects.values()) {
      problems.push(...stored.reading.problems)
      if (loaded !== undefined) objects.set(loaded.key, loaded)
    }
    this.current = { objects, problems }
    for (const listener of this.#listeners) listener()
  }
}

/** Kinds that are ours, once the server serves them. */
function readDefinition({ value }: ApiObject): ServedKind | undefined {
  const parsed = definitionSchema.safeParse(value)
  if (!parsed.success) return undefined
  const { spec, status } = parsed.data
  const resource = customResourceKinds.find(({ group, kind, plural }) => {
    return group === spec.group && kind === spec.names.kind && plural === spec.names.plural
  })
  const version = resource?.versions.find((name) => spec.versions.some((one) => one.served && one.name === name))
  const isServed = status.conditions.some(({ type, status: is }) => type === 'Established' && is === 'True')
  return resource === undefined || version === undefined || !isServed ? undefined : { resource, version }
}

/** A refused object leaves its last good version in force; one of the same content is the very object. */
function inForce(reading: Reading, before: Loaded | undefined): Loaded | undefined {
  if (reading.type === 'refused') return before
  if (reading.type === 'ignored') return undefined
  const { key, object } = reading
  if (before?.object.version === object.version) return before
  return reading.type === 'raw' ? { type: 'raw', key, object: reading.object } : { type: 'object', key, object: reading.object }
}

type Reading = StoredObject['reading']
