import { MeshConfig_H2UpgradePolicy as H2UpgradePolicy, type MeshConfig } from '@weft/contracts/istio/mesh/v1alpha1/config'
import type {
  LocalityLoadBalancerSetting,
  ConnectionPoolSettings_TCPSettings_TcpKeepalive as TcpKeepalive,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { ServerTLSSettings_TLSProtocol as TlsProtocol } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import type { HTTPRetry } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { type LabelSelector, labelSelectorSchema } from '@weft/inject/label-selector'
import { mergeProxyConfig, type ProxyConfig, readProxyConfig } from '@weft/inject/proxy-config'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { type ExtensionProvider, readExtensionProviders } from './extension-providers.ts'
import { defaultIngressSettings, type IngressSettings, ingressSettings } from './ingress-settings.ts'
import { type ProxySettings, readProxySettings } from './proxy-settings.ts'

type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'

/** By the numbers that MeshConfig has; its DEFAULT is BASE. */
const pathNormalizations: readonly PathNormalization[] = ['BASE', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']

/**
 * What becomes of what no service is known for: it goes where it was going, or nowhere; with `ALLOW_ANY_DYNAMIC_DNS` a request over plain
 * HTTP goes where its Host header says.
 */
export type OutboundTrafficPolicy = 'ALLOW_ANY' | 'REGISTRY_ONLY' | 'ALLOW_ANY_DYNAMIC_DNS'
const outboundPolicies: Readonly<Record<number, OutboundTrafficPolicy>> = { 1: 'ALLOW_ANY', 3: 'ALLOW_ANY_DYNAMIC_DNS' }

/** MeshConfig, with defaults filled in. */
export interface MeshSettings {
  /** DNS domain of the mesh: `cluster.local`. */
  readonly domain: string
  readonly trustDomain: string
  readonly trustDomainAliases: readonly string[]
  /** Namespace whose policies hold in the whole mesh: `istio-system`. */
  readonly rootNamespace: string
  /** `host:port` of Mixer's service; empty where the mesh has none. */
  readonly mixerCheckServer: string
  readonly mixerReportServer: string
  readonly disablePolicyChecks: boolean
  readonly disableMixerHttpReports: boolean
  readonly connectTimeoutMs: number
  /** How long a connection's first bytes are waited for where they tell what is spoken; then it is taken for plain TCP. 0: for ever. */
  readonly protocolDetectionTimeoutMs: number
  readonly outboundTrafficPolicy: OutboundTrafficPolicy
  /** Sidecars use mutual TLS towards endpoints that take it, without a DestinationRule that says so. */
  readonly enableAutoMtls: boolean
  /** HTTP ports are spoken to by HTTP/2 where no DestinationRule says otherwise. */
  readonly upgradesToHttp2: boolean
  /** Empty: no access log. */
  readonly accessLogFile: string
  readonly accessLogFormat: string
  readonly accessLogEncoding: 'TEXT' | 'JSON'
  /** Extension providers that accesses are logged to where no Telemetry says it; none: `accessLogFile` does. */
  readonly accessLogProviders: readonly string[]
  /** Names of the providers for which Istio's metrics are counted. */
  readonly metricsProviders: readonly string[]
  readonly enableTracing: boolean
  /** The extension provider that spans go to; undefined: none, or with `enableTracing` the collector that ProxyConfig names. */
  readonly tracingProvider: string | undefined
  /** How request paths are made comparable before anything is matched with them. */
  readonly pathNormalization: PathNormalization
  /** Whom AuthorizationPolicies with the action CUSTOM may ask, by name. */
  readonly extensionProviders: ReadonlyMap<string, ExtensionProvider>
  readonly defaultServiceExportTo: readonly string[]
  readonly defaultVirtualServiceExportTo: readonly string[]
  readonly defaultDestinationRuleExportTo: readonly string[]
  /** How load keeps to near endpoints where neither a DestinationRule nor the service says it. */
  readonly localityLbSetting: LocalityLoadBalancerSetting
  /** Of Kubernetes, only namespaces that one of these selects are in the mesh; all where there are none. */
  readonly discoverySelectors: readonly LabelSelector[]
  /** Where sidecars take redirected connections. */
  readonly outboundPort: number
  readonly inboundPort: number
  /** `localhost`: applications are called at 127.0.0.1, and not at the address that was called. */
  readonly inboundTrafficPolicy: 'PASSTHROUGH' | 'LOCALHOST'
  /** Where no DestinationRule says it. */
  readonly tcpKeepalive: TcpKeepalive | undefined
  readonly dnsRefreshMs: number
  /** Patterns of clusters' names in statistics; empty: their own. */
  readonly inboundClusterStatName: string
  readonly outboundClusterStatName: string
  /** Where a VirtualService says nothing of retries; undefined is Istio's. */
  readonly retries: HTTPRetry | undefined
  /** Of the mesh's own connections; of all others where their configuration leaves it open. */
  readonly meshTls: TlsLimits
  readonly tlsDefaults: TlsLimits
  /** `SIMPLE` TLS towards servers outside asks for a certificate that the system trusts, where no authorities are named. */
  readonly verifiesServers: boolean
  readonly ingress: IngressSettings
  /** What proxies whose own ProxyConfig does not say it do. */
  readonly proxyConfig: ProxyConfig
}

/** Limits of TLS connections; 0 and nothing are Istio's own. */
export interface TlsLimits {
  readonly minProtocol: TlsProtocol
  readonly cipherSuites: readonly string[]
  readonly curves: readonly string[]
}

const noLimits: TlsLimits = { minProtocol: 0, cipherSuites: [], curves: [] }

export const defaultMeshSettings: MeshSettings = {
  domain: 'cluster.local',
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  mixerCheckServer: '',
  mixerReportServer: '',
  disablePolicyChecks: false,
  disableMixerHttpReports: false,
  connectTimeoutMs: 10_000,
  protocolDetectionTimeoutMs: 1_000,
  outboundTrafficPolicy: 'ALLOW_ANY',
  enableAutoMtls: true,
  upgradesToHttp2: false,
  accessLogFile: '',
  accessLogFormat: '',
  accessLogEncoding: 'TEXT',
  accessLogProviders: [],
  metricsProviders: [],
  enableTracing: false,
  tracingProvider: undefined,
  pathNormalization: 'BASE',
  extensionProviders: new Map(),
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
  localityLbSetting: { enabled: true, distribute: [], failover: [], failoverPriority: [] },
  discoverySelectors: [],
  outboundPort: 15_001,
  inboundPort: 15_006,
  inboundTrafficPolicy: 'PASSTHROUGH',
  tcpKeepalive: undefined,
  dnsRefreshMs: 60_000,
  inboundClusterStatName: '',
  outboundClusterStatName: '',
  retries: undefined,
  meshTls: noLimits,
  tlsDefaults: noLimits,
  verifiesServers: true,
  ingress: defaultIngressSettings,
  proxyConfig: {},
}

function millisecondsOf({ seconds, nanos }: { seconds: number; nanos: number }): number {
  return seconds * 1_000 + nanos / 1_000_000
}

/** MeshConfig on top of the defaults (or what the flags say); what it leaves out stays. Throws `invalid_argument` for a selector that is none. */
export function meshSettings(config: MeshConfig, base: MeshSettings): MeshSettings {
  const { connectTimeout, protocolDetectionTimeout, outboundTrafficPolicy } = config
  const providers = defaultProviders(config.defaultProviders)
  const orElse = <T extends string | readonly string[]>(value: T, other: T): T => (value.length > 0 ? value : other)
  return {
    domain: base.domain,
    trustDomain: orElse(config.trustDomain, base.trustDomain),
    trustDomainAliases: orElse<readonly string[]>(config.trustDomainAliases, base.trustDomainAliases),
    rootNamespace: orElse(config.rootNamespace, base.rootNamespace),
    mixerCheckServer: config.mixerCheckServer,
    mixerReportServer: config.mixerReportServer,
    disablePolicyChecks: config.disablePolicyChecks,
    disableMixerHttpReports: config.disableMixerHttpReports,
    connectTimeoutMs: connectTimeout === undefined ? base.connectTimeoutMs : millisecondsOf(connectTimeout),
    protocolDetectionTimeoutMs:
      protocolDetectionTimeout === undefined ? base.protocolDetectionTimeoutMs : millisecondsOf(protocolDetectionTimeout),
    outboundTrafficPolicy:
      outboundTrafficPolicy === undefined
        ? base.outboundTrafficPolicy
        : (outboundPolicies[outboundTrafficPolicy.mode] ?? 'REGISTRY_ONLY'),
    enableAutoMtls: config.enableAutoMtls ?? base.enableAutoMtls,
    upgradesToHttp2: config.h2UpgradePolicy === H2UpgradePolicy.UPGRADE,
    accessLogFile: config.accessLogFile,
    accessLogFormat: config.accessLogFormat,
    accessLogEncoding: config.accessLogEncoding === 1 ? 'JSON' : 'TEXT',
    enableTracing: config.enableTracing,
    accessLogProviders: providers.accessLogging,
    metricsProviders: providers.metrics,
    tracingProvider: providers.tracing[0],
    pathNormalization: pathNormalizations[config.pathNormalization?.normalization ?? 0] ?? 'BASE',
    extensionProviders: readExtensionProviders(config.extensionProviders),
    defaultServiceExportTo: orElse<readonly string[]>(config.defaultServiceExportTo, base.defaultServiceExportTo),
    defaultVirtualServiceExportTo: orElse<readonly string[]>(
      config.defaultVirtualServiceExportTo,
      base.defaultVirtualServiceExportTo,
    ),
    defaultDestinationRuleExportTo: orElse<readonly string[]>(
      config.defaultDestinationRuleExportTo,
      base.defaultDestinationRuleExportTo,
    ),
    localityLbSetting: config.localityLbSetting ?? base.localityLbSetting,
    discoverySelectors: readSelectors(config.discoverySelectors),
    outboundPort: config.proxyListenPort || base.outboundPort,
    inboundPort: config.proxyInboundListenPort || base.inboundPort,
    inboundTrafficPolicy: config.inboundTrafficPolicy?.mode === 1 ? 'LOCALHOST' : base.inboundTrafficPolicy,
    tcpKeepalive: config.tcpKeepalive ?? base.tcpKeepalive,
    dnsRefreshMs: config.dnsRefreshRate === undefined ? base.dnsRefreshMs : millisecondsOf(config.dnsRefreshRate),
    inboundClusterStatName: config.inboundClusterStatName,
    outboundClusterStatName: config.outboundClusterStatName,
    retries: config.defaultHttpRetryPolicy ?? base.retries,
    meshTls: limitsOf(config.meshMTLS),
    tlsDefaults: limitsOf(config.tlsDefaults),
    verifiesServers: config.verifyCertificateAtClient ?? base.verifiesServers,
    ingress: ingressSettings(config, base.ingress),
    proxyConfig: mergeProxyConfig(base.proxyConfig, proxyConfigOf(config.defaultConfig)),
  }
}

/** What MeshConfig says and Pilot does not act on, as paths. */
export function withoutEffect(config: MeshConfig): string[] {
  const said: [string, boolean][] = [
    ['proxyHttpPort', config.proxyHttpPort > 0],
    ['enableClientSidePolicyCheck', config.enableClientSidePolicyCheck],
    ['enableEnvoyAccessLogService', config.enableEnvoyAccessLogService],
    ['disableEnvoyListenerLog', config.disableEnvoyListenerLog],
    ['configSources', config.configSources.length > 0],
    ['certificates', config.certificates.length > 0],
    ['ca', config.ca !== undefined],
    ['caCertificates', config.caCertificates.length > 0],
    ['serviceSettings', config.serviceSettings.length > 0],
    ['serviceScopeConfigs', config.serviceScopeConfigs !== undefined],
  ]
  return said.filter(([, isSaid]) => isSaid).map(([path]) => path)
}

function limitsOf(config: MeshConfig['meshMTLS']): TlsLimits {
  if (config === undefined) return noLimits
  return { minProtocol: config.minProtocolVersion, cipherSuites: config.cipherSuites, curves: config.ecdhCurves }
}

const names = z.array(z.string()).default([])
const providersSchema = z.looseObject({ tracing: names, accessLogging: names, metrics: names })

function defaultProviders(value: unknown): z.infer<typeof providersSchema> {
  const read = providersSchema.safeParse(value ?? {})
  if (read.success) return read.data
  throw new WeftError('invalid_argument', 'the mesh configuration: must name extension providers', {
    where: { path: `defaultProviders.${read.error.issues[0]?.path.join('.')}` },
  })
}

function proxyConfigOf(value: unknown): ProxyConfig {
  if (value === undefined) return {}
  const config = readProxyConfig(value, 'the mesh configuration: defaultConfig')
  settingsOf(config)
  return config
}

/** What Pilot makes of a ProxyConfig. Throws `invalid_argument` with the path of what cannot be read. */
export function settingsOf(config: ProxyConfig): ProxySettings {
  try {
    return readProxySettings(config)
  } catch (thrown) {
    const issue = thrown instanceof z.ZodError ? thrown.issues[0] : undefined
    if (issue === undefined) throw thrown
    throw new WeftError('invalid_argument', `ProxyConfig: ${issue.message}`, { where: { path: issue.path.join('.') } })
  }
}

const numbers = new WeakMap<MeshSettings, number>()
let last = 0

/** Equal for the same settings. All that is built depends on some of them, and they hardly ever change: they count as one. */
export function meshKey(mesh: MeshSettings): number {
  let number = numbers.get(mesh)
  if (number === undefined) {
    number = ++last
    numbers.set(mesh, number)
  }
  return number
}

function readSelectors(values: readonly unknown[]): LabelSelector[] {
  const read = z.array(labelSelectorSchema).safeParse(values)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new WeftError('invalid_argument', `the mesh configuration: ${issue?.message}`, {
    where: { path: `discoverySelectors.${issue?.path.join('.')}` },
  })
}
