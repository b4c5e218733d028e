import { isRecord } from '@weft/config/document'
import { durationJson, parseDuration } from '@weft/config/duration'
import { WeftError } from '@weft/service/errors'
import { parse } from 'yaml'
import { z } from 'zod'

const text = z.string()
const boolean = z.boolean()
const message = z.looseObject({})
const whole = z.union([z.int(), text.regex(/^-?\d{1,10}$/).transform(Number)])
const port = whole.refine((number) => number >= 0 && number <= 65_535, 'must be a port')
const duration = text.transform((value, context) => {
  const nanos = parseDuration(value)
  if (nanos !== undefined && nanos >= 0n)
    return durationJson(nanos)
      .replace(/(\.\d*?)0+s$/, '$1s')
      .replace(/\.s$/, 's')
  context.addIssue({ code: 'custom', message: 'must be a time such as 45s' })
  return z.NEVER
})

/** istio.mesh.v1alpha1.ProxyConfig as JSON: all its fields by name, those that injection does not act on taken as they are. */
const proxyConfigSchema = z.strictObject({
  configPath: text.optional(),
  binaryPath: text.optional(),
  serviceCluster: text.optional(),
  tracingServiceName: z.enum(['APP_LABEL_AND_NAMESPACE', 'CANONICAL_NAME_ONLY', 'CANONICAL_NAME_AND_NAMESPACE']).optional(),
  drainDuration: duration.optional(),
  parentShutdownDuration: duration.optional(),
  discoveryAddress: text.optional(),
  discoveryRefreshDelay: duration.optional(),
  zipkinAddress: text.optional(),
  statsdUdpAddress: text.optional(),
  envoyMetricsServiceAddress: text.optional(),
  proxyAdminPort: port.optional(),
  availabilityZone: text.optional(),
  controlPlaneAuthPolicy: z.enum(['NONE', 'MUTUAL_TLS', 'INHERIT']).optional(),
  customConfigFile: text.optional(),
  statNameLength: whole.optional(),
  concurrency: whole.refine((number) => number >= 0 && number <= 1024, 'must be from 0 to 1024').optional(),
  proxyBootstrapTemplatePath: text.optional(),
  interceptionMode: z.enum(['REDIRECT', 'TPROXY', 'NONE']).optional(),
  tracing: message.optional(),
  sds: message.optional(),
  envoyAccessLogService: message.optional(),
  envoyMetricsService: message.optional(),
  proxyMetadata: z.record(z.string().regex(/^[^=\s\0]+$/, 'must be the name of an environment variable'), text).optional(),
  runtimeValues: z.record(z.string(), text).optional(),
  statusPort: port.optional(),
  extraStatTags: z.array(text).optional(),
  gatewayTopology: message.optional(),
  terminationDrainDuration: duration.optional(),
  meshId: text.optional(),
  readinessProbe: message.optional(),
  proxyStatsMatcher: message.optional(),
  holdApplicationUntilProxyStarts: boolean.optional(),
  caCertificatesPem: z.array(text).optional(),
  image: z.strictObject({ imageType: z.enum(['default', 'debug', 'distroless']).optional() }).optional(),
  privateKeyProvider: message.optional(),
  proxyHeaders: message.optional(),
  fileFlushInterval: duration.optional(),
  fileFlushMinSizeKb: whole.optional(),
  statsCompression: boolean.optional(),
  connectionSettings: message.optional(),
})

/** How one proxy is to run, as Istio's ProxyConfig says it in JSON. */
export type ProxyConfig = z.infer<typeof proxyConfigSchema>

/** What an agent takes when PROXY_CONFIG does not say; the values of Istio. */
const proxyConfigDefaults = {
  configPath: './etc/istio/proxy',
  binaryPath: '/usr/local/bin/envoy',
  serviceCluster: 'istio-proxy',
  drainDuration: '45s',
  terminationDrainDuration: '5s',
  proxyAdminPort: 15_000,
  controlPlaneAuthPolicy: 'MUTUAL_TLS',
  discoveryAddress: 'istiod.istio-system.svc:15012',
  statNameLength: 189,
  statusPort: 15_020,
} as const satisfies ProxyConfig

/** Longest `proxy.istio.io/config` that is read. */
const mostBytes = 256 << 10

/** Reads a ProxyConfig from plain values. Throws `invalid_argument`, naming `what` and the field. */
export function readProxyConfig(value: unknown, what: string): ProxyConfig {
  const camel = isRecord(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [camelCase(key), item])) : value
  const read = proxyConfigSchema.safeParse(camel ?? {})
  if (read.success) return read.data
  const [issue] = read.error.issues
  const path = issue?.path.join('.') ?? ''
  throw new WeftError('invalid_argument', `${what}: ${path === '' ? '' : `${path}: `}${issue?.message ?? 'cannot be read'}`, {
    hint: "the fields are those of Istio's ProxyConfig",
  })
}

/** Reads the YAML of the annotation `proxy.istio.io/config`. */
export function parseProxyConfig(yaml: string, what: string): ProxyConfig {
  if (yaml.length > mostBytes) throw new WeftError('invalid_argument', `${what} is longer than ${mostBytes} bytes`)
  let value: unknown
  try {
    value = parse(yaml, { maxAliasCount: 10, prettyErrors: false })
  } catch (thrown) {
    throw new WeftError('invalid_argument', `${what} is no YAML: ${WeftError.from(thrown).message}`)
  }
  return readProxyConfig(value, what)
}

/** One ProxyConfig over another: fields replace each other, metadata and proxy headers are joined. */
export function mergeProxyConfig(base: ProxyConfig, over: ProxyConfig): ProxyConfig {
  const merged = { ...base, ...over }
  if (base.proxyMetadata && over.proxyMetadata) merged.proxyMetadata = { ...base.proxyMetadata, ...over.proxyMetadata }
  if (base.proxyHeaders && over.proxyHeaders) merged.proxyHeaders = { ...base.proxyHeaders, ...over.proxyHeaders }
  if (over.tracingServiceName !== undefined) delete merged.serviceCluster
  return merged
}

/** The JSON of PROXY_CONFIG: without what an agent takes by itself. */
export function proxyConfigJson(config: ProxyConfig): string {
  const defaults: Readonly<Record<string, unknown>> = proxyConfigDefaults
  const said = Object.entries(config).filter(([name, value]) => {
    if (value === undefined || value === '' || value === defaults[name]) return false
    return !isRecord(value) || name === 'tracing' || Object.keys(value).length > 0
  })
  return JSON.stringify(Object.fromEntries(said))
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
