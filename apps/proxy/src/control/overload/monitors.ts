import { readFileSync } from 'node:fs'
import type { ResourceMonitor } from '@weft/contracts/envoy/config/overload/v3/overload'
import { DownstreamConnectionsConfig } from '@weft/contracts/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections'
import { FixedHeapConfig } from '@weft/contracts/envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap'
import { InjectedResourceConfig } from '@weft/contracts/envoy/extensions/resource_monitors/injected_resource/v3/injected_resource'
import { invalid, unsupported } from '../../plan/problems.ts'
import type { ProcessState } from '../../shared/process-state.ts'

/** Reads how short a resource is: 0 (plenty) to 1 (none left). Throws when that cannot be told now. */
export type Monitor = () => number

const prefix = 'envoy.extensions.resource_monitors.'

/** Compiles a resource monitor; throws for one that is not known. */
export function compileMonitor(source: ResourceMonitor, state: ProcessState, path: string): Monitor {
  const at = `${path}.typed_config`
  const config = source.configType?.value
  if (config === undefined) throw invalid(at, `resource monitor '${source.name}' needs a typed_config`)
  const type = config.typeUrl.slice(config.typeUrl.lastIndexOf('/') + 1)
  switch (type) {
    case `${prefix}fixed_heap.v3.FixedHeapConfig`: {
      const most = Number(FixedHeapConfig.decode(config.value).maxHeapSizeBytes)
      // All that the process holds: its heaps are in many threads, and buffers lie outside of them.
      return () => process.memoryUsage.rss() / most
    }
    case `${prefix}injected_resource.v3.InjectedResourceConfig`: {
      const { filename } = InjectedResourceConfig.decode(config.value)
      return () => {
        const text = readFileSync(filename, 'utf8').trim()
        const pressure = Number(text)
        if (text === '' || !(pressure >= 0 && pressure <= 1)) throw new RangeError(`'${text}' is no pressure of 0 to 1`)
        return pressure
      }
    }
    case `${prefix}downstream_connections.v3.DownstreamConnectionsConfig`: {
      state.maxConnections = Number(DownstreamConnectionsConfig.decode(config.value).maxActiveDownstreamConnections)
      return () => state.connectionShare
    }
    default:
      throw unsupported(at, `resource monitor '${type}'`)
  }
}
