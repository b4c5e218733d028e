import { WeftError } from '@weft/service/errors'
import { parse } from 'yaml'
import { z } from 'zod'
import { labelSelectorSchema } from './label-selector.ts'
import { withoutNulls } from './pod.ts'
import { mergeProxyConfig, type ProxyConfig, readProxyConfig } from './proxy-config.ts'

/** A text that YAML may have taken for a number. */
const text = z.union([z.string(), z.number(), z.boolean()]).transform(String)
const whole = z.union([
  z.int(),
  z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number),
])
const object = z.looseObject({})

const resources = z.looseObject({ requests: object.optional(), limits: object.optional() })

const proxyValues = z.looseObject({
  image: z.string().default('proxy'),
  autoInject: z.enum(['enabled', 'disabled']).default('enabled'),
  clusterDomain: z.string().default('cluster.local'),
  logLevel: text.default('warning'),
  componentLogLevel: text.default('misc:error'),
  outlierLogPath: z.string().default(''),
  includeIPRanges: text.default('*'),
  excludeIPRanges: text.default(''),
  includeInboundPorts: text.default('*'),
  excludeInboundPorts: text.default(''),
  includeOutboundPorts: text.default(''),
  excludeOutboundPorts: text.default(''),
  privileged: z.boolean().default(false),
  capNetBindService: text.default(''),
  seccompProfile: object.default({}),
  readinessInitialDelaySeconds: whole.default(0),
  readinessPeriodSeconds: whole.default(15),
  readinessFailureThreshold: whole.default(4),
  startupProbe: z.looseObject({ enabled: z.boolean().default(true), failureThreshold: whole.default(600) }).prefault({}),
  resources: resources.default({
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { cpu: '2', memory: '1Gi' },
  }),
  statusPort: whole.default(15_020),
  holdApplicationUntilProxyStarts: z.boolean().default(false),
  lifecycle: object.default({}),
})

/** Helm's values of Istio as far as injection reads them, with the defaults; others may stand beside them. */
const valuesSchema = z.looseObject({
  revision: text.default(''),
  global: z
    .looseObject({
      istioNamespace: z.string().default('istio-system'),
      hub: z.string().default('weft'),
      tag: text.default('latest'),
      variant: z.string().default(''),
      imagePullPolicy: z.string().default(''),
      imagePullSecrets: z.array(z.string()).default([]),
      logAsJson: z.boolean().default(false),
      nativeNftables: z.boolean().default(false),
      logging: z.looseObject({ level: text.default('default:info') }).prefault({}),
      meshID: text.default(''),
      network: text.default(''),
      trustDomain: z.string().default(''),
      multiCluster: z.looseObject({ clusterName: text.default('') }).prefault({}),
      caAddress: z.string().default(''),
      pilotCertProvider: z.string().default('istiod'),
      trustBundleName: z.string().default(''),
      mountMtlsCerts: z.boolean().default(false),
      sts: z.looseObject({ servicePort: whole.default(0) }).prefault({}),
      sds: z.looseObject({ token: z.looseObject({ aud: z.string().default('istio-ca') }).prefault({}) }).prefault({}),
      proxy: proxyValues.prefault({}),
      proxy_init: z
        .looseObject({ image: z.string().default('weft'), forceApplyIptables: z.boolean().default(false) })
        .prefault({}),
    })
    .prefault({}),
  sidecarInjectorWebhook: z
    .looseObject({
      neverInjectSelector: z.array(labelSelectorSchema).default([]),
      alwaysInjectSelector: z.array(labelSelectorSchema).default([]),
      injectedAnnotations: z.record(z.string(), text).default({}),
      rewriteAppHTTPProbe: z.boolean().default(true),
      enableNamespacesByDefault: z.boolean().default(false),
      reinvocationPolicy: z.enum(['Never', 'IfNeeded']).default('Never'),
      templates: z.record(z.string(), z.string()).default({}),
      defaultTemplates: z.array(z.string()).default([]),
      aliases: z.record(z.string(), z.array(z.string())).default({}),
    })
    .prefault({}),
  pilot: z
    .looseObject({
      cni: z.looseObject({ enabled: z.boolean().default(false), provider: z.string().default('default') }).prefault({}),
      crlConfigMapName: z.string().default(''),
    })
    .prefault({}),
  gateways: z.looseObject({ securityContext: object.default({}) }).prefault({}),
})

type Values = z.infer<typeof valuesSchema>

/** What injection reads of MeshConfig; the rest is Pilot's. */
const meshSchema = z.looseObject({
  defaultConfig: z.unknown().optional(),
  trustDomain: z.string().default('cluster.local'),
  proxyListenPort: whole.default(15_001),
  proxyInboundListenPort: whole.default(15_006),
  enablePrometheusMerge: z.boolean().default(true),
  inboundTrafficPolicy: z.looseObject({ mode: z.enum(['PASSTHROUGH', 'LOCALHOST']).default('PASSTHROUGH') }).prefault({}),
  extensionProviders: z.array(z.looseObject({ opentelemetry: object.optional() })).default([]),
})

/** All that decides how pods are injected, apart from the pod. */
export interface InjectionSettings {
  values: Values
  mesh: z.infer<typeof meshSchema>
  /** The mesh-wide ProxyConfig, over the defaults. */
  proxyConfig: ProxyConfig
  revision: string
  /** Whether a sidecar is a restartable init container (Kubernetes 1.33 and later) when its pod does not say. */
  nativeSidecars: boolean
}

export interface SettingsInput {
  /** Values as of Istio's charts. */
  values?: unknown
  /** MeshConfig as plain values. */
  mesh?: unknown
  /** Over `values.revision`. */
  revision?: string
  nativeSidecars?: boolean
}

/** Reads the settings and fills in the defaults. Throws `invalid_argument` with the path of the first wrong value. */
export function injectionSettings({ values, mesh, revision, nativeSidecars = true }: SettingsInput = {}): InjectionSettings {
  const read = readAs(valuesSchema, values, 'the injection values')
  const meshRead = readAs(meshSchema, mesh, 'the mesh configuration')
  const named = revision ?? read.revision
  const suffix = named === '' || named === 'default' ? '' : `-${named}`
  const { istioNamespace } = read.global
  if (read.global.caAddress === '') read.global.caAddress = `citadel.${istioNamespace}.svc:15012`
  return {
    values: read,
    mesh: meshRead,
    proxyConfig: mergeProxyConfig(
      { discoveryAddress: `pilot${suffix}.${istioNamespace}.svc:15012`, statusPort: 15_020 },
      readProxyConfig(meshRead.defaultConfig, 'defaultConfig of the mesh configuration'),
    ),
    revision: named,
    nativeSidecars,
  }
}

/** Reads a YAML text of values or of a mesh configuration. Throws `invalid_argument` with the file. */
export function parseSettings(yaml: string, file: string): unknown {
  try {
    return parse(yaml, { maxAliasCount: 100, prettyErrors: false, merge: true })
  } catch (thrown) {
    throw new WeftError('invalid_argument', `broken YAML: ${WeftError.from(thrown).message}`, { where: { file } })
  }
}

function readAs<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.infer<Schema> {
  const read = schema.safeParse(withoutNulls(value ?? {}))
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new WeftError('invalid_argument', `${what}: ${issue?.path.join('.')}: ${issue?.message}`, {
    hint: "the names and types are those of Istio's charts",
  })
}
