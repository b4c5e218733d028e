import { WeftError } from '@weft/service/errors'
import { names, parseBoolean } from './annotations.ts'
import { findSidecar, type Pod } from './pod.ts'
import type { InjectionSettings } from './settings.ts'

/** The environment variable by which the agent knows where the application's own metrics are. */
const scrapeVariable = 'ISTIO_PROMETHEUS_ANNOTATIONS'

/** Ports of the proxy's own, which hold no metrics of an application. */
const reservedPorts = [15_000, 15_001, 15_004, 15_006, 15_008, 15_020, 15_021, 15_053, 15_090]

/** The annotations by Prometheus' reading of their names, in which dots and dashes are the same. */
const [scrape, port, path, targets] = [
  'prometheus_io_scrape',
  'prometheus_io_port',
  'prometheus_io_path',
  'prometheus_istio_io_scrape_targets',
]

/**
 * Points Prometheus at the agent, which gives the application's metrics with the proxy's; where the application's are, it is told
 * by an environment variable. Throws `invalid_argument` for a port that can't be the application's.
 */
export function mergeMetrics(pod: Pod, { mesh, proxyConfig }: InjectionSettings): void {
  pod.metadata.annotations ??= {}
  const { annotations } = pod.metadata
  const agentPort = String(proxyConfig.statusPort ?? 15_020)
  const found = prometheusAnnotations(annotations)
  const merged = parseBoolean(annotations[names.mergeMetrics] ?? '') ?? mesh.enablePrometheusMerge
  const scraped = parseBoolean(found.get(scrape)?.value ?? '') ?? true
  if (!merged || !scraped || found.get(port)?.value === agentPort) return
  const configuration = scrapeConfiguration(found)
  for (const each of configuration.targets?.map((target) => target.port) ?? [configuration.port]) checkPort(each, agentPort)
  const sidecar = findSidecar(pod)
  if (sidecar !== undefined && found.size > 0) {
    sidecar.env = [...(sidecar.env ?? []), { name: scrapeVariable, value: JSON.stringify(configuration) }]
  }
  clearMetrics(annotations)
  Object.assign(annotations, {
    'prometheus.io/port': agentPort,
    'prometheus.io/path': '/stats/prometheus',
    'prometheus.io/scrape': 'true',
  })
}

/** Takes away what an earlier injection pointed at the agent. */
export function forgetMergedMetrics(annotations: Record<string, string>, agentPort: number): void {
  if (prometheusAnnotations(annotations).get(port)?.value === String(agentPort)) clearMetrics(annotations)
}

/** Tells Prometheus the port on which the proxy gives the metrics over mutual TLS, if it does. */
export function announceSecureMetrics(pod: Pod): void {
  pod.metadata.annotations ??= {}
  const { annotations } = pod.metadata
  if (Object.keys(annotations).some((name) => sanitised(name) === 'prometheus_istio_io_secure_port')) return
  const secure = findSidecar(pod)?.env?.find(({ name }) => name === 'ENVOY_SECURE_MERGED_METRICS_PORT')?.value
  if (secure !== undefined && secure !== '' && secure !== '0') annotations['prometheus.istio.io/secure-port'] = secure
}

interface ScrapeConfiguration {
  scrape: string
  path: string
  port: string
  targets?: { port: string; path: string }[]
}

function scrapeConfiguration(found: ReturnType<typeof prometheusAnnotations>): ScrapeConfiguration {
  const value = (name: string | undefined): string => found.get(name ?? '')?.value ?? ''
  const several = value(targets)
    .split(',')
    .map((target) => /^\s*(?<port>[^:]*?)\s*(?::\s*(?<path>.*?))?\s*$/s.exec(target)?.groups ?? {})
    .filter((target) => target['port'])
    .map((target) => ({ port: target['port'] ?? '', path: target['path'] || '/metrics' }))
  const [first] = several
  return {
    scrape: value(scrape),
    path: first?.path ?? value(path),
    port: first?.port ?? value(port),
    ...(first === undefined ? {} : { targets: several }),
  }
}

function checkPort(text: string, agentPort: string): void {
  if (text === '') return
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  const problem =
    number < 1 || number > 65_535
      ? 'it is no port'
      : number === Number(agentPort)
        ? "it is the agent's own"
        : reservedPorts.includes(number)
          ? "it is one of the proxy's own"
          : undefined
  if (problem === undefined) return
  throw new WeftError('invalid_argument', `the application's metrics cannot be scraped from port ${text}: ${problem}`, {
    where: { path: 'metadata.annotations["prometheus.io/port"]' },
    hint: 'name a port of the application',
  })
}

function prometheusAnnotations(annotations: Readonly<Record<string, string>>): Map<string, { name: string; value: string }> {
  const known = [scrape, port, path, targets]
  return new Map(
    Object.entries(annotations)
      .map(([name, value]) => [sanitised(name), { name, value }] as const)
      .filter(([name]) => known.includes(name)),
  )
}

function clearMetrics(annotations: Record<string, string>): void {
  const known = [scrape, port, path, targets]
  for (const name of Object.keys(annotations)) if (known.includes(sanitised(name))) delete annotations[name]
}

/** A name as Prometheus sees it in its labels. */
function sanitised(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_]/g, '_')
}
