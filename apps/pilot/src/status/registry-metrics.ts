import { Gauge, type Registry as MetricsRegistry } from '@weft/service/metrics'
import type { Registry } from '../registries/registry.ts'

/** Metrics of where services come from: whether each registry has had its first answer, is followed, and how much it knows. */
export function createRegistryMetrics(registries: readonly Registry[], metrics: MetricsRegistry): void {
  const add = (name: string, help: string, value: (registry: Registry) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['registry'],
      registers: [metrics],
      collect() {
        this.reset()
        for (const registry of registries) this.inc({ registry: registry.name }, value(registry))
      },
    })
  }
  add('pilot_registry_synced', 'Registries whose first answer is in', ({ state }) => Number(state.synced))
  add('pilot_registry_problems', 'Registries whose answer may be old, as their platform cannot be followed', ({ state }) =>
    Number(state.problem !== undefined),
  )
  add('pilot_registry_services', 'Services that registries know', ({ contents }) => contents.services.length)
}
