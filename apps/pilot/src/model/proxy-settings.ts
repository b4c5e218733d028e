import { HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { z } from 'zod'

/** What of the client's certificate stands in x-forwarded-client-cert. */
interface ClientCertDetails {
  readonly subject: boolean
  readonly cert: boolean
  readonly chain: boolean
  readonly dns: boolean
  readonly uri: boolean
}

/** What Pilot makes of a proxy's ProxyConfig: what a gateway stands behind, which headers are set, and how is traced. */
export interface ProxySettings {
  /** Proxies before a gateway whose x-forwarded-for is believed. */
  readonly trustedProxies: number
  /** What a gateway does with x-forwarded-client-cert; undefined: it tells its own client's certificate alone. */
  readonly gatewayClientCert: ForwardClientCert | undefined
  /** Connections to a gateway begin with a PROXY header. */
  readonly takesProxyProtocol: boolean
  readonly headers: {
    /** Undefined: as the side has it. */
    readonly clientCert: ForwardClientCert | undefined
    readonly clientCertDetails: ClientCertDetails
    readonly requestId: boolean
    /** Value of `server` in answers to who calls this workload; undefined leaves what the application says. */
    readonly server: string | undefined
    readonly attemptCount: boolean
    /** x-envoy-upstream-service-time, x-envoy-overloaded and the like. */
    readonly envoyHeaders: boolean
    /** x-forwarded-port tells which port was called; x-forwarded-host the host where a route writes another. */
    readonly forwardedPort: boolean
    readonly forwardedHost: boolean
    /** Headers of HTTP/1.1 keep the case they came in. */
    readonly preservesCase: boolean
  }
  readonly tracing: {
    /** `host:port` of a collector that takes Zipkin's format; empty where the mesh's providers say it. */
    readonly zipkinAddress: string
    /** Percent of requests that begin a trace; undefined is Istio's 1. */
    readonly sampling: number | undefined
    readonly maxPathTagLength: number | undefined
    readonly customTags: readonly CustomTag[]
    readonly istioTags: boolean
  }
}

/** A tag of each span: fixed, of the proxy's environment, or of a request header. */
interface CustomTag {
  readonly tag: string
  readonly type: 'literal' | 'environment' | 'header'
  /** The value, or the name of the variable or header. */
  readonly value: string
  readonly defaultValue: string
}

const forwardClientCerts: Readonly<Record<string, ForwardClientCert | undefined>> = {
  UNDEFINED: undefined,
  SANITIZE: ForwardClientCert.SANITIZE,
  FORWARD_ONLY: ForwardClientCert.FORWARD_ONLY,
  APPEND_FORWARD: ForwardClientCert.APPEND_FORWARD,
  SANITIZE_SET: ForwardClientCert.SANITIZE_SET,
  ALWAYS_FORWARD_ONLY: ForwardClientCert.ALWAYS_FORWARD_ONLY,
}

const clientCert = z
  .enum(Object.keys(forwardClientCerts))
  .transform((name) => forwardClientCerts[name])
  .optional()
const toggle = z.looseObject({ disabled: z.boolean().default(false) }).prefault({})
const switchedOn = z.looseObject({ enabled: z.boolean().default(false) }).prefault({})
const named = z.looseObject({ name: z.string(), defaultValue: z.string().default('') })

const schema = z.looseObject({
  gatewayTopology: z
    .looseObject({
      numTrustedProxies: z.number().int().min(0).max(4_294_967_295).default(0),
      forwardClientCertDetails: clientCert,
      proxyProtocol: z.looseObject({}).optional(),
    })
    .prefault({}),
  proxyHeaders: z
    .looseObject({
      forwardedClientCert: clientCert,
      setCurrentClientCertDetails: z
        .looseObject({
          subject: z.boolean().default(true),
          cert: z.boolean().default(false),
          chain: z.boolean().default(false),
          dns: z.boolean().default(true),
          uri: z.boolean().default(true),
        })
        .prefault({}),
      requestId: toggle,
      server: z.looseObject({ disabled: z.boolean().default(false), value: z.string().default('') }).prefault({}),
      attemptCount: toggle,
      envoyDebugHeaders: toggle,
      xForwardedPort: switchedOn,
      xForwardedHost: switchedOn,
      preserveHttp1HeaderCase: z.boolean().default(false),
    })
    .prefault({}),
  zipkinAddress: z.string().default(''),
  tracing: z
    .looseObject({
      zipkin: z.looseObject({ address: z.string().default('') }).prefault({}),
      sampling: z.number().min(0).max(100).optional(),
      maxPathTagLength: z.number().int().min(0).max(4_294_967_295).optional(),
      enableIstioTags: z.boolean().default(true),
      customTags: z
        .record(
          z.string().min(1),
          z.looseObject({
            literal: z.looseObject({ value: z.string() }).optional(),
            environment: named.optional(),
            header: named.optional(),
          }),
        )
        .default({}),
    })
    .prefault({}),
})

/** What Istio sends as `server`. */
const serverName = 'istio-envoy'

/**
 * Reads the parts of a ProxyConfig, in its JSON, that Pilot acts on; what it says nothing of is Istio's default. Throws zod's
 * error for values that are none.
 */
export function readProxySettings(config: Readonly<Record<string, unknown>>): ProxySettings {
  const { gatewayTopology, proxyHeaders, tracing, zipkinAddress } = schema.parse(config)
  const { server } = proxyHeaders
  return {
    trustedProxies: gatewayTopology.numTrustedProxies,
    gatewayClientCert: gatewayTopology.forwardClientCertDetails,
    takesProxyProtocol: gatewayTopology.proxyProtocol !== undefined,
    headers: {
      clientCert: proxyHeaders.forwardedClientCert,
      clientCertDetails: proxyHeaders.setCurrentClientCertDetails,
      requestId: !proxyHeaders.requestId.disabled,
      server: server.disabled ? undefined : server.value || serverName,
      attemptCount: !proxyHeaders.attemptCount.disabled,
      envoyHeaders: !proxyHeaders.envoyDebugHeaders.disabled,
      forwardedPort: proxyHeaders.xForwardedPort.enabled,
      forwardedHost: proxyHeaders.xForwardedHost.enabled,
      preservesCase: proxyHeaders.preserveHttp1HeaderCase,
    },
    tracing: {
      zipkinAddress: tracing.zipkin.address || zipkinAddress,
      sampling: tracing.sampling,
      maxPathTagLength: tracing.maxPathTagLength,
      customTags: Object.entries(tracing.customTags).flatMap(([tag, { literal, environment, header }]): CustomTag[] => {
        if (literal !== undefined) return [{ tag, type: 'literal', value: literal.value, defaultValue: '' }]
        if (environment !== undefined) return [{ tag, type: 'environment', value: environment.name, ...defaultOf(environment) }]
        return header === undefined ? [] : [{ tag, type: 'header', value: header.name, ...defaultOf(header) }]
      }),
      istioTags: tracing.enableIstioTags,
    },
  }
}

function defaultOf({ defaultValue }: { defaultValue: string }): { defaultValue: string } {
  return { defaultValue }
}
