import { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { type DatedResource, type Fetched, FetchedResources, isRepeated } from './fetched-resources.ts'
import { type CheckedResource, checkedResource, type ExtensionReference } from './resource.ts'
import type { ConfigSources } from './sources.ts'

export interface ExtensionsOptions {
  sources: ConfigSources
  stats: Stats
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  log: ComponentLog
}

/** Configurations of HTTP filters that listeners fetch (ECDS). */
export type Extensions = FetchedResources<ExtensionReference, DatedResource>

/** Nothing fetched yet. */
export function createExtensions({ sources, stats, publish, log }: ExtensionsOptions): Extensions {
  return new FetchedResources({
    typeUrl: typeUrls.extension,
    noun: 'filter configuration',
    api: 'ECDS',
    sources,
    stats,
    log,
    statPrefix: ({ name }) => `extension_config_discovery.http_filter.${name}`,
    opened: ({ prefix, stats: counted }) => {
      counted.counter(`${prefix}.config_fail`)
      counted.counter(`${prefix}.config_reload`)
    },
    used: ({ ready }, { goesLiveWithDefault, source }) => {
      if (goesLiveWithDefault || source === undefined) ready.resolve()
    },
    take: async (entry, received) => {
      if (isRepeated(entry.state, received)) return
      const resource = checkedResource('extension', entry.name, received.version, received.bytes)
      checkType(entry, resource)
      const [error] = await publish([{ kind: 'extension', name: entry.name, bytes: resource.bytes }])
      if (error !== undefined) throw new WeftError('invalid_argument', error.message)
      entry.state = { resource, updatedAt: new Date() }
      entry.ready.resolve()
      entry.stats.counter(`${entry.prefix}.config_reload`).inc()
    },
    refused: ({ prefix, stats: counted }) => counted.counter(`${prefix}.config_fail`).inc(),
    removed: (entry) => {
      entry.state = undefined
      void publish([{ kind: 'extension', name: entry.name, bytes: null }])
    },
    dropped: ({ name }) => void publish([{ kind: 'extension', name, bytes: null }]),
  })
}

/** Throws for a configuration of a type that a filter which uses it does not take. */
function checkType({ uses, name }: Fetched<ExtensionReference, DatedResource>, { bytes }: CheckedResource): void {
  const url = TypedExtensionConfig.decode(bytes).typedConfig?.typeUrl ?? ''
  const type = url.slice(url.lastIndexOf('/') + 1)
  const refusing = uses.find(({ types }) => !types.some((one) => one.slice(one.lastIndexOf('/') + 1) === type))
  if (refusing !== undefined)
    throw new WeftError(
      'invalid_argument',
      `the filter configuration ${name} has type URL ${url}, not one of ${refusing.types.join(', ')}`,
    )
}
