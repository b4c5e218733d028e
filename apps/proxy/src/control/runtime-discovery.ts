import type { LayeredRuntime } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import { Runtime } from '@weft/contracts/envoy/service/runtime/v3/rtds'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import { Deferred } from './deferred.ts'
import { FetchStats } from './fetch-stats.ts'
import type { RuntimeLayers } from './runtime-layers.ts'
import { type ConfigSources, initialFetchTimeoutMs, type NamedWatcher } from './sources.ts'

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
  const fetched = (config?.layers ?? []).flatMap(({ name, layerSpecifier: specifier }) =>
    specifier?.$case === 'rtdsLayer' ? [{ layer: name, ...specifier.value }] : [],
  )
  for (const { layer, name, rtdsConfig } of fetched) {
    if (rtdsConfig === undefined) continue
    const stats = new FetchStats(options.stats, 'runtime', rtdsConfig)
    const came = new Deferred()
    waiting.push(
      came.within(initialFetchTimeoutMs(rtdsConfig)).then((inTime) => {
        if (!inTime) stats.timedOut()
      }),
    )
    const answered = (version: string, problems: readonly string[]): void => {
      stats.answered(version, problems)
      came.resolve()
    }
    const watcher: NamedWatcher = {
      receive: async ({ version, bytes }) => {
        const problems: string[] = []
        try {
          runtime.replace(layer, Runtime.decode(bytes).layer ?? {})
          log.debug(`runtime layer ${layer} has version '${version}'`)
        } catch (error) {
          problems.push(WeftError.from(error).message)
        }
        answered(version, problems)
        return problems
      },
      removed: (version) => {
        runtime.replace(layer, {})
        answered(version, [])
      },
      empty: () => answered('', ['the file holds no layer']),
      refused: (reason) => answered('', [reason]),
      failed: (reason) => {
        stats.failed()
        log.debug(`runtime layer ${layer} cannot be fetched now: ${reason}`)
      },
    }
    sources.watchNamed(rtdsConfig, typeUrls.runtime, name, watcher, { stats: options.stats, prefix: 'runtime' })
  }
  await Promise.all(waiting)
}
