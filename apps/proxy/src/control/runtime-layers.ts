import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type {
  RuntimeLayer_DiskLayer as DiskLayer,
  LayeredRuntime,
  RuntimeLayer,
} from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { WeftError } from '@weft/service/errors'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { RuntimeValues } from '../plan/runtime.ts'
import { isFolder, readRuntimeFolder } from './runtime-disk.ts'
import { entriesOfTree, entryOfText, type RuntimeEntries } from './runtime-entries.ts'

/** A layer that is there: one whose folder is missing, or cannot be read, is not. */
export interface Layer {
  name: string
  entries: RuntimeEntries
}

/** Bounds of what the admin layer takes. */
const mostAdminKeys = 10_000

const noEntries: RuntimeEntries = new Map()

export interface RuntimeLayersOptions {
  serviceCluster: string
  /** Gets the merged values whenever they may have changed. */
  changed: (values: RuntimeValues) => void
  stats?: Stats
  log?: ComponentLog
}

/**
 * The layers of the runtime, lowest first, and what they give together: a higher layer wins. Folders are read again whenever
 * the link that leads to them is moved into place, and with every other change.
 */
export class RuntimeLayers {
  #layers: readonly Layer[] = []
  #admin: RuntimeEntries = noEntries
  /** What a control plane gave, by the layer's name. */
  readonly #fetched = new Map<string, RuntimeEntries>()
  readonly #configured: readonly RuntimeLayer[]
  readonly #options: RuntimeLayersOptions
  readonly #watchers: FSWatcher[] = []
  readonly #isConfigured: boolean

  /** Without `layered_runtime` there is one layer, for the admin. Throws WeftError for what cannot stand, or be watched. */
  constructor(config: LayeredRuntime | undefined, options: RuntimeLayersOptions) {
    checkLayers(config)
    this.#isConfigured = config !== undefined
    this.#configured = config?.layers ?? [{ name: 'admin', layerSpecifier: { $case: 'adminLayer', value: {} } }]
    this.#options = options
    for (const { layerSpecifier } of this.#configured)
      if (layerSpecifier?.$case === 'diskLayer') this.#watch(layerSpecifier.value.symlinkRoot)
    // As Envoy's: once to begin with, and once when all of the process stands.
    this.#load()
    this.#load()
  }

  get layers(): readonly Layer[] {
    return this.#layers
  }

  /** The merged values. */
  values(): RuntimeValues {
    const values = new Map(this.#layers.flatMap(({ entries }) => [...entries].map(([key, { value }]) => [key, value] as const)))
    return Object.fromEntries(values)
  }

  /** Sets (or with '' removes) values of the admin layer; throws WeftError when there is none. */
  modify(changes: Record<string, string>): void {
    if (!this.#configured.some((layer) => layer.layerSpecifier?.$case === 'adminLayer'))
      throw new WeftError('failed_precondition', 'No admin layer specified')
    const next = new Map(this.#admin)
    for (const [key, text] of Object.entries(changes)) {
      if (text === '') next.delete(key)
      else next.set(key, entryOfText(text))
    }
    if (next.size > mostAdminKeys)
      throw new WeftError('resource_exhausted', `the admin layer holds at most ${mostAdminKeys} keys`)
    this.#admin = next
    this.#reload()
  }

  /** Replaces the values of a layer that a control plane gives; throws WeftError for a tree that holds what is no value. */
  replace(name: string, tree: Readonly<Record<string, unknown>>): void {
    this.#fetched.set(name, entriesOfTree(tree, refuseEntry))
    this.#reload()
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close()
  }

  #watch(root: string): void {
    const fail = (error: unknown): never => {
      throw new WeftError('not_found', `unable to watch the folder of a runtime layer: ${WeftError.from(error).message}`, {
        where: { file: root },
      })
    }
    try {
      const watcher = watch(dirname(root), { persistent: false }, (_event, name) => {
        if (name === basename(root) && isFolder(root)) this.#reload()
      })
      watcher.on('error', (error) => this.#options.log?.warn(`runtime: ${dirname(root)} is no longer watched: ${error.message}`))
      this.#watchers.push(watcher)
    } catch (error) {
      fail(error)
    }
  }

  #reload(): void {
    this.#load()
    this.#options.changed(this.values())
  }

  #load(): void {
    let folders = 0
    let errors = 0
    const layers: Layer[] = []
    for (const { name, layerSpecifier: specifier } of this.#configured) {
      if (specifier?.$case === 'diskLayer') {
        const root = folderOf(specifier.value, this.#options.serviceCluster)
        if (!isFolder(root)) continue
        try {
          layers.push({ name, entries: readRuntimeFolder(root) })
          folders++
        } catch (error) {
          errors++
          this.#options.log?.debug(`runtime layer ${name} cannot be read: ${WeftError.from(error).message}`)
        }
      } else if (specifier?.$case === 'staticLayer')
        layers.push({ name, entries: entriesOfTree(specifier.value ?? {}, refuseEntry) })
      else
        layers.push({ name, entries: specifier?.$case === 'adminLayer' ? this.#admin : (this.#fetched.get(name) ?? noEntries) })
    }
    this.#layers = layers
    this.#count(folders, errors)
  }

  #count(folders: number, errors: number): void {
    const { stats } = this.#options
    if (stats === undefined) return
    const success = stats.counter('runtime.load_success')
    const failure = stats.counter('runtime.load_error')
    const overridden = stats.counter('runtime.override_dir_exists')
    const plain = stats.counter('runtime.override_dir_not_exists')
    stats.counter('runtime.deprecated_feature_use')
    stats.gauge('runtime.deprecated_feature_seen_since_process_start')
    const loaded = errors === 0 ? success : failure
    loaded.inc()
    const kind = folders > 1 ? overridden : plain
    kind.inc()
    stats.gauge('runtime.num_keys').set(Object.keys(this.values()).length)
    stats.gauge('runtime.num_layers').set(this.#isConfigured ? this.#layers.length : 0)
    stats.gauge('runtime.admin_overrides_active').set(this.#admin.size > 0 ? 1 : 0)
  }
}

function refuseEntry(key: string): never {
  throw new WeftError('invalid_argument', `Invalid runtime entry value for ${key}`)
}

/** Throws WeftError for layers that cannot stand together. */
export function checkLayers(config: LayeredRuntime | undefined): void {
  const configured = config?.layers ?? []
  const names = new Set<string>()
  for (const [index, layer] of configured.entries()) {
    if (names.has(layer.name))
      throw new WeftError('invalid_argument', `two layers are named '${layer.name}'`, {
        where: { path: `layered_runtime.layers[${index}].name` },
      })
    names.add(layer.name)
    checkLayer(layer, `layered_runtime.layers[${index}]`)
  }
  if (configured.filter((layer) => layer.layerSpecifier?.$case === 'adminLayer').length > 1)
    throw new WeftError('invalid_argument', 'there may be one admin_layer', { where: { path: 'layered_runtime.layers' } })
}

/** What the static layers give together; higher ones win. */
export function staticValues(config: LayeredRuntime | undefined): RuntimeValues {
  const entries = (config?.layers ?? []).flatMap(({ layerSpecifier: specifier }) =>
    specifier?.$case === 'staticLayer' ? [...entriesOfTree(specifier.value ?? {}, refuseEntry)] : [],
  )
  return Object.fromEntries(entries.map(([key, { value }]) => [key, value]))
}

/** What a layer of one kind lacks, or cannot hold. */
function checkLayer({ layerSpecifier: specifier }: RuntimeLayer, path: string): void {
  const fail = (inside: string, message: string): never => {
    throw new WeftError('invalid_argument', message, { where: { path: `${path}.${inside}` } })
  }
  // What is watched is a name within its folder.
  if (specifier?.$case === 'diskLayer' && !specifier.value.symlinkRoot.includes('/'))
    fail('disk_layer.symlink_root', `invalid file path ${specifier.value.symlinkRoot}`)
  if (specifier?.$case === 'rtdsLayer' && specifier.value.rtdsConfig?.configSourceSpecifier === undefined)
    fail('rtds_layer.rtds_config', 'Missing config source specifier')
  if (specifier?.$case !== 'staticLayer') return
  entriesOfTree(specifier.value ?? {}, (key) => fail(`static_layer['${key}']`, `Invalid runtime entry value for ${key}`))
}

function folderOf({ symlinkRoot, subdirectory, appendServiceCluster }: DiskLayer, serviceCluster: string): string {
  return join(symlinkRoot, subdirectory, ...(appendServiceCluster ? [serviceCluster] : []))
}
