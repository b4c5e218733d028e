import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

/** A registry for one service: the process's own metrics, build info, and what the service adds. */
export function createRegistry(service: string, version: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({})
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'weft_build_info',
    help: 'Always 1; the labels say what runs',
    labelNames: ['service', 'version', 'node'],
    registers: [registry],
  }).set({ service, version, node: process.version }, 1)
  return registry
}
