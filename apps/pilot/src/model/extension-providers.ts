import { parseDuration } from '@weft/config/duration'
import { StatusCode } from '@weft/contracts/envoy/type/v3/http_status'
import { z } from 'zod'

/** An external service that decides on requests (Envoy's ext_authz). */
export interface ExtAuthzProvider {
  readonly type: 'ext-authz'
  readonly protocol: 'http' | 'grpc'
  /** `host`, or `namespace/host`. */
  readonly service: string
  readonly port: number
  readonly timeoutMs: number
  /** Requests pass when the service doesn't answer. */
  readonly failOpen: boolean
  /** Status of the answer when it doesn't; undefined is Envoy's 403. */
  readonly statusOnError: StatusCode | undefined
  readonly clearRouteCache: boolean
  readonly body: { readonly maxBytes: number; readonly allowPartial: boolean; readonly asBytes: boolean } | undefined
  readonly http: HttpCheck
}

/** What of a request goes to an HTTP service, and what of its answer goes on. Header names may end or begin with `*`. */
interface HttpCheck {
  readonly pathPrefix: string
  readonly requestHeaders: readonly string[]
  readonly additionalHeaders: Readonly<Record<string, string>>
  readonly toUpstreamOnAllow: readonly string[]
  readonly toDownstreamOnAllow: readonly string[]
  readonly toDownstreamOnDeny: readonly string[]
}

/** A collector of spans. */
export interface TracingProvider {
  readonly type: 'tracing'
  readonly protocol: 'opentelemetry' | 'zipkin'
  /** `host`, or `namespace/host`. */
  readonly service: string
  readonly port: number
  /** Of HTTP; empty for OTLP over gRPC. */
  readonly path: string
  readonly maxTagLength: number | undefined
  /** Trace ids of 128 bits. */
  readonly wideIds: boolean
}

/** Where accesses are logged: a file, or a service that takes Envoy's or OpenTelemetry's logs. */
export type AccessLogProvider = {
  readonly type: 'access-log'
  /** Of each access; undefined: the mesh's. Of a service of OpenTelemetry the text is the body, and the labels attributes. */
  readonly format: { readonly text: string | undefined; readonly labels: Readonly<Record<string, unknown>> | undefined }
} & (
  | { readonly to: 'file'; readonly path: string }
  | {
      readonly to: 'http-als' | 'tcp-als' | 'opentelemetry'
      /** `host`, or `namespace/host`. */
      readonly service: string
      readonly port: number
      readonly logName: string
      readonly more: {
        readonly filterState: readonly string[]
        readonly requestHeaders: readonly string[]
        readonly responseHeaders: readonly string[]
        readonly responseTrailers: readonly string[]
      }
    }
)

/** A provider of MeshConfig's; one that can't be used says why, and whoever names it refuses all requests. */
export type ExtensionProvider =
  | ExtAuthzProvider
  | TracingProvider
  | AccessLogProvider
  /** Who asks the proxies for their metrics. */
  | { readonly type: 'prometheus' }
  | { readonly type: 'unusable'; readonly reason: string }

/** The timeout where none is stated; a DestinationRule is to state the real one, as in Istio. */
const longTimeoutMs = 600_000

const texts = z.array(z.string()).default([])

const common = {
  service: z.string().min(1),
  port: z.number().int().min(1).max(65_535),
  timeout: z.string().optional(),
  failOpen: z.boolean().default(false),
  statusOnError: z.string().default(''),
  clearRouteCache: z.boolean().default(false),
  includeRequestBodyInCheck: z
    .object({
      maxRequestBytes: z.number().int().min(1),
      allowPartialMessage: z.boolean().default(false),
      packAsBytes: z.boolean().default(false),
    })
    .optional(),
}

const collector = {
  service: z.string().min(1),
  port: z.number().int().min(1).max(65_535),
  maxTagLength: z.number().int().min(1).max(4_294_967_295).optional(),
}

const logService = {
  service: z.string().min(1),
  port: z.number().int().min(1).max(65_535),
  logName: z.string().default(''),
}
const alsSchema = z.looseObject({
  ...logService,
  filterStateObjectsToLog: texts,
  additionalRequestHeadersToLog: texts,
  additionalResponseHeadersToLog: texts,
  additionalResponseTrailersToLog: texts,
})
const logFormat = z
  .looseObject({ text: z.string().optional(), labels: z.record(z.string(), z.unknown()).optional() })
  .default({ text: undefined, labels: undefined })

const providerSchema = z.looseObject({
  name: z.string().min(1),
  prometheus: z.looseObject({}).optional(),
  opentelemetry: z
    .looseObject({ ...collector, http: z.looseObject({ path: z.string().regex(/^\//, 'must begin with /') }).optional() })
    .optional(),
  zipkin: z
    .looseObject({
      ...collector,
      enable64bitTraceId: z.boolean().default(false),
      path: z.string().regex(/^\//, 'must begin with /').default('/api/v2/spans'),
    })
    .optional(),
  envoyFileAccessLog: z.looseObject({ path: z.string().min(1), logFormat }).optional(),
  envoyHttpAls: alsSchema.optional(),
  envoyTcpAls: alsSchema.optional(),
  envoyOtelAls: z.looseObject({ ...logService, logFormat }).optional(),
  envoyExtAuthzGrpc: z.object(common).optional(),
  envoyExtAuthzHttp: z
    .object({
      ...common,
      pathPrefix: z
        .string()
        .regex(/^(\/.*)?$/, 'must begin with /')
        .default(''),
      includeHeadersInCheck: texts,
      includeRequestHeadersInCheck: texts,
      includeAdditionalHeadersInCheck: z.record(z.string(), z.string()).default({}),
      headersToUpstreamOnAllow: texts,
      headersToDownstreamOnAllow: texts,
      headersToDownstreamOnDeny: texts,
    })
    .optional(),
})

const knownKinds =
  'envoyExtAuthzGrpc, envoyExtAuthzHttp, opentelemetry, zipkin, envoyFileAccessLog, envoyHttpAls, envoyTcpAls, envoyOtelAls, prometheus'

/** Those that every mesh has, where MeshConfig has no other of the name. */
const builtIn: ReadonlyMap<string, ExtensionProvider> = new Map([
  ['prometheus', { type: 'prometheus' }],
  ['envoy', { type: 'access-log', to: 'file', path: '/dev/stdout', format: { text: undefined, labels: undefined } }],
])

/** The provider of a name, in any case of its letters. */
export function providerNamed(providers: ReadonlyMap<string, ExtensionProvider>, name: string): ExtensionProvider | undefined {
  const wanted = name.toLowerCase()
  for (const [known, provider] of providers) if (known.toLowerCase() === wanted) return provider
  return builtIn.get(wanted)
}

/** MeshConfig's extensionProviders by name. */
export function readExtensionProviders(values: readonly unknown[]): Map<string, ExtensionProvider> {
  const providers = new Map<string, ExtensionProvider>()
  for (const value of values) {
    const parsed = providerSchema.safeParse(value)
    const named = z.looseObject({ name: z.string() }).safeParse(value)
    const name = named.success ? named.data.name : ''
    if (providers.has(name)) providers.set(name, { type: 'unusable', reason: 'its name is given twice' })
    else if (parsed.success) providers.set(name, providerOf(parsed.data))
    else providers.set(name, { type: 'unusable', reason: z.prettifyError(parsed.error) })
  }
  return providers
}

function providerOf(provider: z.infer<typeof providerSchema>): ExtensionProvider {
  const { envoyExtAuthzGrpc: grpc, envoyExtAuthzHttp: http, opentelemetry, zipkin } = provider
  if (provider.prometheus !== undefined) return { type: 'prometheus' }
  if (opentelemetry !== undefined) {
    const { service, port, maxTagLength, http: over } = opentelemetry
    return { type: 'tracing', protocol: 'opentelemetry', service, port, maxTagLength, path: over?.path ?? '', wideIds: true }
  }
  if (zipkin !== undefined) {
    const { service, port, maxTagLength, path, enable64bitTraceId } = zipkin
    return { type: 'tracing', protocol: 'zipkin', service, port, maxTagLength, path, wideIds: !enable64bitTraceId }
  }
  const log = accessLogOf(provider)
  if (log !== undefined) return log
  const settings = grpc ?? http
  if (settings === undefined) return { type: 'unusable', reason: `it is none of ${knownKinds}` }
  const nanos = settings.timeout === undefined ? undefined : parseDuration(settings.timeout)
  if (settings.timeout !== undefined && (nanos === undefined || nanos <= 0n)) {
    return { type: 'unusable', reason: `timeout: "${settings.timeout}" is no duration` }
  }
  const statusOnError = Object.values(StatusCode).find((code) => code > 0 && String(code) === settings.statusOnError)
  if (statusOnError === undefined && settings.statusOnError !== '') {
    return { type: 'unusable', reason: `statusOnError: "${settings.statusOnError}" is no HTTP status` }
  }
  const body = settings.includeRequestBodyInCheck
  const requestHeaders = http?.includeRequestHeadersInCheck ?? []
  return {
    type: 'ext-authz',
    protocol: grpc === undefined ? 'http' : 'grpc',
    service: settings.service,
    port: settings.port,
    timeoutMs: nanos === undefined ? longTimeoutMs : Number(nanos / 1_000n) / 1_000,
    failOpen: settings.failOpen,
    statusOnError,
    clearRouteCache: settings.clearRouteCache,
    body:
      body === undefined
        ? undefined
        : { maxBytes: body.maxRequestBytes, allowPartial: body.allowPartialMessage, asBytes: body.packAsBytes },
    http: {
      pathPrefix: http?.pathPrefix ?? '',
      // The older name of the same list holds where the newer one says nothing.
      requestHeaders: requestHeaders.length > 0 ? requestHeaders : (http?.includeHeadersInCheck ?? []),
      additionalHeaders: http?.includeAdditionalHeadersInCheck ?? {},
      toUpstreamOnAllow: http?.headersToUpstreamOnAllow ?? [],
      toDownstreamOnAllow: http?.headersToDownstreamOnAllow ?? [],
      toDownstreamOnDeny: http?.headersToDownstreamOnDeny ?? [],
    },
  }
}

function accessLogOf(provider: z.infer<typeof providerSchema>): AccessLogProvider | undefined {
  const { envoyFileAccessLog: file, envoyHttpAls, envoyTcpAls, envoyOtelAls: otel } = provider
  const none = { filterState: [], requestHeaders: [], responseHeaders: [], responseTrailers: [] }
  const formatOf = ({ text, labels }: z.infer<typeof logFormat>) => ({ text, labels })
  if (file !== undefined) return { type: 'access-log', to: 'file', path: file.path, format: formatOf(file.logFormat) }
  if (otel !== undefined) {
    const { service, port, logName } = otel
    return { type: 'access-log', to: 'opentelemetry', service, port, logName, format: formatOf(otel.logFormat), more: none }
  }
  const als = envoyHttpAls ?? envoyTcpAls
  if (als === undefined) return undefined
  const { service, port, logName } = als
  return {
    ...{ type: 'access-log', to: envoyHttpAls === undefined ? 'tcp-als' : 'http-als', service, port, logName },
    format: { text: undefined, labels: undefined },
    more: {
      filterState: als.filterStateObjectsToLog,
      requestHeaders: als.additionalRequestHeadersToLog,
      responseHeaders: als.additionalResponseHeadersToLog,
      responseTrailers: als.additionalResponseTrailersToLog,
    },
  }
}
