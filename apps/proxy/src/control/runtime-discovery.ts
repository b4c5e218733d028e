import type { LayeredRuntime } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { Runtime } from '@weft/contracts/envoy/service/runtime/v3/rtds'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import { Deferred } from './deferred.ts'
import { FetchStats } from './fetch-stats.ts'
import { flatten, type RuntimeLayers } from './runtime-layers.ts'
import { type ConfigSources, initialFetchTimeoutMs } from './sources.ts'

/**
 * Fetches the layers of the runtime that a control plane gives (RTDS). Resolves when each has come, or its initial fetch
 * timeout is over: what comes later holds from then on.
 */
export async function fetchRuntimeLayers(
  config: LayeredRuntime | undefined,
  options: { sources: ConfigSources; runtime: RuntimeLayers; stats: Stats; log: ComponentLog },
): Promise<void> {
  const { sources, runtime, log } = options
  const waiting: Promise<unknown>[] = []
  const stats = new FetchStats(options.stats, 'runtime')
  for (const { name, layerSpecifier } of config?.layers ?? []) {
    if (layerSpecifier?.$case !== 'rtdsLayer') continue
    const { name: resource, rtdsConfig } = layerSpecifier.value
    if (rtdsConfig === undefined) continue
    const came = new Deferred()
    waiting.push(came.within(initialFetchTimeoutMs(rtdsConfig)))
    sources.watchNamed(rtdsConfig, typeUrls.runtime, resource, {
      receive: async ({ version, bytes }) => {
        runtime.replace(name, flatten(Runtime.decode(bytes).layer))
        stats.answered(version, [])
        log.debug(`runtime layer ${name} has version '${version}'`)
        came.resolve()
        return []
      },
      removed: () => runtime.replace(name, {}),
      failed: (reason) => {
        stats.failed()
        log.debug(`runtime layer ${name} cannot be fetched now: ${reason}`)
      },
    })
  }
  await Promise.all(waiting)
}
