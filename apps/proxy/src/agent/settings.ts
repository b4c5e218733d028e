import { hostname, networkInterfaces } from 'node:os'
import { parseDuration } from '@weft/config/duration'
import { WeftError } from '@weft/service/errors'

/** What a pod, container or machine tells its proxy: the variables that Istio's injector sets too. */
export interface AgentSettings {
  role: 'sidecar' | 'router'
  pod: { name: string; namespace: string; ip: string; serviceAccount: string }
  /** What proves to Citadel who it is, and the root by which it knows Citadel; read anew as they are replaced. */
  tokenFile: string
  rootCertFile: string
  /** `host:port` of Pilot and of Citadel. */
  pilot: string
  citadel: string
  trustDomain: string
  domain: string
  adminPort: number
  statusPort: number
  /** Worker threads; undefined: by the cores. */
  concurrency: number | undefined
  /** How long connections may take to end when the pod is stopped, and how long requests in flight may take at least. */
  drainMs: number
  terminationDrainMs: number
  configPath: string
  /** A bootstrap that is laid over the proxy's own. */
  bootstrapOverride: string | undefined
  /** Node metadata by its names: `CLUSTER_ID`, `WORKLOAD_NAME`, … */
  metadata: Record<string, unknown>
  proxyLogLevel: string
  componentLogLevel: string
  /** JSON of the probes that the kubelet asks through the agent, and of where the application's metrics are. */
  probers: string
  /** How a machine's own application is asked whether it is ready; undefined: it is not asked. */
  readinessProbe: unknown
  /** Keys of the proxy's runtime. */
  runtimeValues: Record<string, unknown>
  metrics: string
  /** Where the application is probed: the pod's address, or localhost. */
  probedHost: string
}

/** The ports of every injected proxy that Kubernetes asks on: readiness, and the proxy's own metrics. */
export const healthPort = 15_021
export const metricsPort = 15_090

/**
 * Reads the command line `proxy sidecar|router --domain … --proxyLogLevel=…` and the environment of an injected pod. Throws
 * `invalid_argument` with the name of what is missing or wrong.
 */
export function readAgentSettings(argv: readonly string[], env: NodeJS.ProcessEnv): AgentSettings {
  const [command, role, ...flags] = argv
  if (command !== 'proxy' || (role !== 'sidecar' && role !== 'router')) {
    throw new WeftError('invalid_argument', `'${argv.slice(0, 2).join(' ')}' is no command of an injected proxy`, {
      hint: 'proxy sidecar, proxy router, wait, or request METHOD PATH',
    })
  }
  const flag = flagReader(flags)
  const variable = (name: string): string => {
    const value = env[name]
    if (value !== undefined && value !== '') return value
    throw new WeftError('invalid_argument', `the environment has no ${name}`, { hint: 'injection sets it: see weft inject' })
  }
  const config = readJson(env['PROXY_CONFIG'] ?? '{}', 'PROXY_CONFIG')
  const [namespace, ip] = [variable('POD_NAMESPACE'), env['INSTANCE_IP'] || ownAddress()]
  const legacy = env['REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION'] === 'true'
  return {
    role,
    pod: { name: env['POD_NAME'] || hostname(), namespace, ip, serviceAccount: env['SERVICE_ACCOUNT'] ?? 'default' },
    tokenFile: env['TOKEN_FILE'] || '/var/run/secrets/tokens/istio-token',
    rootCertFile: env['CA_ROOT_CA'] || '/var/run/secrets/istio/root-cert.pem',
    pilot: text(config, 'discoveryAddress') ?? 'istiod.istio-system.svc:15012',
    citadel: variable('CA_ADDR'),
    trustDomain: env['TRUST_DOMAIN'] || 'cluster.local',
    domain: flag('domain')?.replaceAll('$(POD_NAMESPACE)', namespace) ?? `${namespace}.svc.cluster.local`,
    adminPort: port(config, 'proxyAdminPort', 15_000),
    statusPort: port(config, 'statusPort', 15_020),
    concurrency: threads(config, env),
    drainMs: duration(config, 'drainDuration', 45_000),
    terminationDrainMs: duration(config, 'terminationDrainDuration', 5_000),
    configPath: (text(config, 'configPath') ?? '/etc/istio/proxy').replace(/^\.\//, '/'),
    bootstrapOverride: env['ISTIO_BOOTSTRAP_OVERRIDE'],
    metadata: nodeMetadata(env, config),
    proxyLogLevel: flag('proxyLogLevel') ?? 'warning',
    componentLogLevel: flag('proxyComponentLogLevel') ?? '',
    probers: env['ISTIO_KUBE_APP_PROBERS'] ?? '',
    readinessProbe: config['readinessProbe'],
    runtimeValues: Object.fromEntries(Object.entries(config['runtimeValues'] ?? {})),
    metrics: env['ISTIO_PROMETHEUS_ANNOTATIONS'] ?? '',
    probedHost: legacy ? 'localhost' : ip,
  }
}

/** The first address that others reach this machine by. */
function ownAddress(): string {
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .sort((a, b) => a.family.localeCompare(b.family))[0]
  if (found !== undefined) return found.address
  throw new WeftError('failed_precondition', 'this machine has no address but loopback', { hint: 'give one as INSTANCE_IP' })
}

/** `--name=value` or `--name value`; flags that say nothing to this proxy are passed over. */
function flagReader(flags: readonly string[]): (name: string) => string | undefined {
  return (name) => {
    const at = flags.findIndex((flag) => flag === `--${name}` || flag.startsWith(`--${name}=`))
    const found = flags[at]
    return found === undefined ? undefined : found.includes('=') ? found.slice(found.indexOf('=') + 1) : flags[at + 1]
  }
}

function threads(config: Record<string, unknown>, env: NodeJS.ProcessEnv): number | undefined {
  const said = config['concurrency']
  if (typeof said === 'number' && said > 0) return said
  const limit = Number(env['ISTIO_CPU_LIMIT'])
  // 0 asks for as many as there are cores.
  return said === 0 || !Number.isInteger(limit) || limit < 1 ? undefined : limit
}

/** ISTIO_META_* and ISTIO_METAJSON_* as node metadata, with the settings themselves as PROXY_CONFIG. */
function nodeMetadata(env: NodeJS.ProcessEnv, config: Record<string, unknown>): Record<string, unknown> {
  const metadata: Record<string, unknown> = {}
  for (const [name, value = ''] of Object.entries(env)) {
    if (name.startsWith('ISTIO_META_')) metadata[name.slice('ISTIO_META_'.length)] = value
    if (name.startsWith('ISTIO_METAJSON_')) Object.assign(metadata, readJson(value, name))
  }
  return { ...metadata, PROXY_CONFIG: config }
}

function readJson(json: string, name: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // told below
  }
  throw new WeftError('invalid_argument', `${name} is no JSON object`, { hint: 'injection sets it: see weft inject' })
}

function text(config: Record<string, unknown>, name: string): string | undefined {
  const value = config[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function port(config: Record<string, unknown>, name: string, otherwise: number): number {
  const value = config[name]
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 65_535 ? value : otherwise
}

function duration(config: Record<string, unknown>, name: string, otherwiseMs: number): number {
  const nanos = parseDuration(text(config, name) ?? '')
  return nanos === undefined || nanos < 0n ? otherwiseMs : Number(nanos / 1_000_000n)
}
