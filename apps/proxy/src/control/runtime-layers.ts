import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { LayeredRuntime, RuntimeLayer } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { WeftError } from '@weft/service/errors'
import type { Stats } from '../observe/stats.ts'

export type RuntimeValue = string | number | boolean
export type RuntimeValues = Record<string, RuntimeValue>

export interface Layer {
  name: string
  values: RuntimeValues
  /** What `/runtime_modify` writes to. */
  admin: boolean
}

/** Bounds of what the admin layer takes. */
const mostAdminKeys = 10_000

/** The layers of the runtime, lowest first, and what they give together: a higher layer wins. */
export class RuntimeLayers {
  readonly layers: Layer[]
  readonly #changed: (values: RuntimeValues) => void
  readonly #stats: Stats | undefined
  readonly #configured: number

  /** Without `layered_runtime` there is one layer, for the admin. Throws WeftError for what cannot be read. */
  constructor(
    config: LayeredRuntime | undefined,
    serviceCluster: string,
    changed: (values: RuntimeValues) => void,
    stats?: Stats,
  ) {
    checkLayers(config)
    const configured = config?.layers ?? []
    this.layers =
      config === undefined
        ? [{ name: 'admin', values: {}, admin: true }]
        : configured.map((layer) => readLayer(layer, serviceCluster))
    this.#changed = changed
    this.#stats = stats
    this.#configured = configured.length
    // As Envoy's: once to begin with, and once when all of the process stands.
    this.#count()
    this.#count()
  }

  /** The merged values. */
  values(): RuntimeValues {
    return Object.assign({}, ...this.layers.map((layer) => layer.values))
  }

  #count(): void {
    const stats = this.#stats
    if (stats === undefined) return
    stats.counter('runtime.load_success').inc()
    stats.gauge('runtime.num_keys').set(Object.keys(this.values()).length)
    stats.gauge('runtime.num_layers').set(this.#configured)
    const admin = this.layers.find((layer) => layer.admin)
    stats.gauge('runtime.admin_overrides_active').set(admin !== undefined && Object.keys(admin.values).length > 0 ? 1 : 0)
  }

  /** Sets (or with '' removes) values of the admin layer; throws WeftError when there is none. */
  modify(changes: Record<string, string>): void {
    const layer = this.layers.find((each) => each.admin)
    if (layer === undefined) throw new WeftError('failed_precondition', 'No admin layer specified')
    const next = { ...layer.values }
    for (const [key, text] of Object.entries(changes)) {
      if (text === '') delete next[key]
      else next[key] = runtimeValue(text)
    }
    if (Object.keys(next).length > mostAdminKeys)
      throw new WeftError('resource_exhausted', `the admin layer holds at most ${mostAdminKeys} keys`)
    layer.values = next
    this.#count()
    this.#changed(this.values())
  }

  /** Replaces the values of one layer. */
  replace(name: string, values: RuntimeValues): void {
    const layer = this.layers.find((each) => each.name === name)
    if (layer === undefined) return
    layer.values = values
    this.#count()
    this.#changed(this.values())
  }
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

/** What a layer of one kind lacks, or cannot hold. */
function checkLayer({ layerSpecifier: specifier }: RuntimeLayer, path: string): void {
  const fail = (inside: string, message: string): never => {
    throw new WeftError('invalid_argument', message, { where: { path: `${path}.${inside}` } })
  }
  if (specifier?.$case === 'diskLayer' && specifier.value.symlinkRoot === '') fail('disk_layer.symlink_root', 'invalid file path')
  if (specifier?.$case === 'rtdsLayer' && specifier.value.rtdsConfig?.configSourceSpecifier === undefined)
    fail('rtds_layer.rtds_config', 'Missing config source specifier')
  if (specifier?.$case !== 'staticLayer') return
  for (const [key, value] of Object.entries(specifier.value ?? {}))
    if (value === null || Array.isArray(value)) fail(`static_layer['${key}']`, `Invalid runtime entry value for ${key}`)
}

function readLayer(layer: RuntimeLayer, serviceCluster: string): Layer {
  const specifier = layer.layerSpecifier
  switch (specifier?.$case) {
    case 'staticLayer':
      return { name: layer.name, values: flatten(specifier.value), admin: false }
    case 'diskLayer': {
      const { symlinkRoot, subdirectory, appendServiceCluster } = specifier.value
      const root = join(symlinkRoot, subdirectory, ...(appendServiceCluster ? [serviceCluster] : []))
      return { name: layer.name, values: readFolder(root), admin: false }
    }
    default:
      return { name: layer.name, values: {}, admin: specifier?.$case === 'adminLayer' }
  }
}

/** `{a: {b: 1}}` is `a.b` = 1; a fractional percent stays in its parts. */
export function flatten(tree: Record<string, unknown> | undefined, prefix = ''): RuntimeValues {
  const values: RuntimeValues = {}
  for (const [key, value] of Object.entries(tree ?? {})) {
    const path = prefix === '' ? key : `${prefix}.${key}`
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') values[path] = value
    else if (typeof value === 'object' && value !== null && !Array.isArray(value))
      Object.assign(values, flatten(Object.fromEntries(Object.entries(value)), path))
  }
  return values
}

/** A folder of files, each a value whose key is its path with dots; a folder that is not there is an empty layer. */
function readFolder(root: string, prefix = ''): RuntimeValues {
  const values: RuntimeValues = {}
  let names: string[]
  try {
    names = readdirSync(root)
  } catch {
    return values
  }
  for (const name of names) {
    if (name.startsWith('.')) continue
    const path = join(root, name)
    const key = prefix === '' ? name : `${prefix}.${name}`
    if (statSync(path).isDirectory()) Object.assign(values, readFolder(path, key))
    else values[key] = runtimeValue(readFileSync(path, 'utf8').trim())
  }
  return values
}

function runtimeValue(text: string): RuntimeValue {
  if (text === 'true' || text === 'false') return text === 'true'
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}
