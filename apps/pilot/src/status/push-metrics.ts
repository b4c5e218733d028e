import { Counter, Gauge, Histogram, type Registry } from '@weft/service/metrics'

/** Istio's type names in the label of pilot_xds_pushes. */
const shortTypes: Readonly<Record<string, string>> = {
  Cluster: 'cds',
  ClusterLoadAssignment: 'eds',
  Listener: 'lds',
  RouteConfiguration: 'rds',
  Secret: 'sds',
  ExtensionConfig: 'ecds',
}
const rememberedGenerations = 1_000

/** Pilot's metrics of pushing, under Istio's names. */
export class PushMetrics {
  readonly #pushes: Counter<'type'>
  readonly #rejects: Counter<'type'>
  readonly #proxies: Gauge
  readonly #convergence: Histogram
  /** When a generation's first change came, by generation. */
  readonly #changedAt = new Map<number, number>()

  constructor(registry: Registry) {
    const registers = [registry]
    this.#pushes = new Counter({ name: 'pilot_xds_pushes', help: 'Responses sent to proxies', labelNames: ['type'], registers })
    this.#rejects = new Counter({
      name: 'pilot_total_xds_rejects',
      help: 'Responses that proxies refused',
      labelNames: ['type'],
      registers,
    })
    this.#proxies = new Gauge({ name: 'pilot_xds', help: 'Proxies connected now', registers })
    this.#convergence = new Histogram({
      name: 'pilot_proxy_convergence_time',
      help: 'Seconds from a change to its acknowledgement by a proxy',
      buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 3, 5, 10, 20, 30],
      registers,
    })
  }

  /** A generation was made from changes that began to come at this time (performance.now()). */
  changed(generation: number, atMs: number): void {
    this.#changedAt.set(generation, atMs)
    if (this.#changedAt.size > rememberedGenerations) this.#changedAt.delete(this.#changedAt.keys().next().value!)
  }

  connected(count: number): void {
    this.#proxies.set(count)
  }

  pushed(type: string): void {
    this.#pushes.inc({ type: shortTypes[type] ?? type })
  }

  rejected(type: string): void {
    this.#rejects.inc({ type: shortTypes[type] ?? type })
  }

  /** A generation arrived at a proxy that connected at this time; one that came after the change says nothing about it. */
  acked(generation: number, connectedAtMs: number): void {
    const changedAt = this.#changedAt.get(generation)
    if (changedAt !== undefined && connectedAtMs < changedAt) this.#convergence.observe((performance.now() - changedAt) / 1_000)
  }
}
