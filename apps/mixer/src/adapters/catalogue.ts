import type { Adapter } from '../adapter.ts'

/** An adapter, and which version of it: handlers are made anew when it changes. */
export interface LoadedAdapter {
  readonly adapter: Adapter
  readonly revision: string
}

/** All adapters that handlers may name. */
export interface AdapterCatalogue {
  has(name: string): boolean
  names(): string[]
  /** Loads an adapter; undefined when there is none of this name. Throws what its file throws. */
  load(name: string): Promise<LoadedAdapter | undefined>
}

/** Mixer's own adapters, each loaded when a handler first names it: start-up does not pay for those not in use. */
const builtIn: Readonly<Record<string, () => Promise<{ default: Adapter }>>> = {
  denier: () => import('./denier/adapter.ts'),
  kubernetesenv: () => import('./kubernetesenv/adapter.ts'),
  list: () => import('./list/adapter.ts'),
  listchecker: () => import('./list/adapter.ts'),
  memquota: () => import('./memquota/adapter.ts'),
  prometheus: () => import('./prometheus/adapter.ts'),
  redisquota: () => import('./redisquota/adapter.ts'),
  stdio: () => import('./stdio/adapter.ts'),
}

/** The names of the adapters of Istio 1.0 that are not here, so that a refusal can say so. */
export const foreignAdapters: ReadonlySet<string> = new Set([
  'bypass',
  'circonus',
  'cloudwatch',
  'dogstatsd',
  'fluentd',
  'noop',
  'opa',
  'rbac',
  'servicecontrol',
  'signalfx',
  'solarwinds',
  'stackdriver',
  'statsd',
])

/** Mixer's own adapters and, before them, the operator's. */
export function adapterCatalogue(own: ReadonlyMap<string, LoadedAdapter> = new Map()): AdapterCatalogue {
  return {
    has: (name) => own.has(name) || Object.hasOwn(builtIn, name),
    names: () => [...new Set([...own.keys(), ...Object.keys(builtIn)])].sort(),
    async load(name) {
      const operators = own.get(name)
      if (operators !== undefined) return operators
      const load = Object.hasOwn(builtIn, name) ? builtIn[name] : undefined
      return load === undefined ? undefined : { adapter: (await load()).default, revision: 'built-in' }
    },
  }
}
